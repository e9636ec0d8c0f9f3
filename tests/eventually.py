"""The only place in the tests that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], what: str, limit: float = 10.0) -> T:
    """Return what ``check`` returns as soon as it is true; asked every 10 ms.

    Raises AssertionError naming ``what`` after ``limit`` seconds.
    """
    end = time.monotonic() + limit
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {limit:g} s: {what}; last answer: {answer!r}"
        time.sleep(0.01)
