"""What a site's list mode printed is read with care: the site's user may have written anything."""

import json

import pytest

from linodmgr.cli import listing


def text(**changes: object) -> str:
    job = {"id": "1", "name": "f", "schedule": "every 10 seconds", **changes}
    return json.dumps({"uses_linod": True, "jobs": [job]})


def test_what_is_not_told_is_unknown() -> None:
    (job,) = listing.read(text()).jobs

    assert (job.last_run, job.next_run, job.interval, job.at, job.why) == (None, None, None, None, None)


def test_instants_become_utc() -> None:
    (job,) = listing.read(text(next_run="2026-11-23T20:00:00+02:00")).jobs

    assert job.next_run is not None
    assert job.next_run.isoformat() == "2026-11-23T18:00:00+00:00"


@pytest.mark.parametrize("key", ["id", "name", "schedule", "at", "why", "text"])
def test_no_word_of_a_site_controls_the_terminal(key: str) -> None:
    (job,) = listing.read(text(**{key: "\x1b]0;title\x07\x9b31m\u202e one\ntwo"})).jobs

    assert getattr(job, key).isprintable()


@pytest.mark.parametrize("key", ["id", "name", "schedule", "at", "why", "text"])
def test_a_word_without_end_is_cut(key: str) -> None:
    (job,) = listing.read(text(**{key: "x" * 100_000})).jobs

    assert len(getattr(job, key)) <= listing.TEXT_LIMIT
    assert getattr(job, key).endswith("…")


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "7 scheduled jobs:",
        "[]",
        "{}",
        '{"uses_linod": true}',
        '{"uses_linod": "yes", "jobs": []}',
        '{"uses_linod": true, "jobs": [], "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
        text(name=None),
        text(interval="often"),
        text(next_run="tomorrow"),
        text(next_run="2026-11-23T20:00:00"),
        text(last_run="0001-01-01T00:00:00+23:00"),
        text().replace('"1"', '"\\ud800"'),
        json.dumps({"uses_linod": True, "jobs": [{}] * (listing.JOBS_LIMIT + 1)}),
    ],
)
def test_anything_else_is_refused(printed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        listing.read(printed)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        listing.read(b"\xff\xfe")
