"""What runners and their like are told of the past, in lines that are not too long."""

from collections.abc import Iterator, Sequence

import msgspec

from linodmgr.protocol import encode
from linodmgr.runner_protocol import Past, PastJob

LINE_SIZE = 16 * 1024  # bytes, about; the protocol allows four times as much


def lines(jobs: Sequence[PastJob]) -> Iterator[bytes]:
    """Yield all that is known, in as few lines as possible."""
    some: list[PastJob] = []
    size = 0
    for job in jobs:
        length = len(msgspec.json.encode(job))
        if some and size + length > LINE_SIZE:
            yield encode(Past(some))
            some, size = [], 0
        some.append(job)
        size += length
    if some:
        yield encode(Past(some))
