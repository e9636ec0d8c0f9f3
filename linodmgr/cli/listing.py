"""What a site's list mode printed, read with care: the site's user may have written anything."""

from datetime import datetime, timezone
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from linodmgr.cli.tables import printable

WORDS_LIMIT = 300  # characters of a name, schedule or reason that are shown
TEXT_LIMIT = 4000  # characters of one line of the well-known text
JOBS_LIMIT = 10_000

Instant = Annotated[datetime, Meta(tz=True)]


class ListedJob(Struct, frozen=True):
    """One job as the runner's list mode tells it; unknown is None."""

    id: str
    name: str
    schedule: str  # words
    interval: float | None = None  # seconds
    at: str | None = None
    last_run: Instant | None = None
    next_run: Instant | None = None
    enabled: bool = True
    why: str | None = None  # it is not enabled
    running: bool = False  # as the site's database says: since its last run, unless its process has died
    text: str = ""  # the line that `manage.py linod --list` prints


class Listed(Struct, frozen=True):
    """All jobs of one site."""

    uses_linod: bool
    jobs: Annotated[list[ListedJob], Meta(max_length=JOBS_LIMIT)]
    reason: str | None = None  # there are no jobs
    kind: str = ""


_DECODER = msgspec.json.Decoder(Listed)


def read(text: bytes | str) -> Listed:
    """Return the listing in ``text`` with nothing in it that could harm a terminal.

    Raises ValueError if it is none.
    """
    try:
        return _clean_all(_DECODER.decode(text))
    except (RecursionError, OverflowError) as error:  # nested too deeply; an instant before the year 1
        raise ValueError(str(error)) from error


def _clean_all(listed: Listed) -> Listed:
    return msgspec.structs.replace(
        listed,
        reason=_clean(listed.reason),
        kind=shown(listed.kind),
        jobs=[_clean_job(job) for job in listed.jobs],
    )


def _clean_job(job: ListedJob) -> ListedJob:
    return msgspec.structs.replace(
        job,
        id=shown(job.id),
        name=shown(job.name),
        schedule=shown(job.schedule),
        at=_clean(job.at),
        last_run=_utc(job.last_run),
        next_run=_utc(job.next_run),
        why=_clean(job.why),
        text=shown(job.text, TEXT_LIMIT),
    )


def _clean(text: str | None) -> str | None:
    return None if text is None else shown(text)


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(timezone.utc)


def shown(text: str, limit: int = WORDS_LIMIT) -> str:
    """Return ``text`` as one line of printable characters, at most ``limit`` of them."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return printable(text)
