"""Where a worker hangs: the innermost line of the site's own code."""

import pytest

from linodmgr.daemon.stacks import Place, where

PLACE = Place("/srv/noi", "/srv/noi/env", "/run/linodmgr/runner-1")
DUMP = """\
before
Thread 0x00007f11aa (most recent call first):
  File "/usr/lib/python3.11/socket.py", line 706 in readinto
  File "/srv/noi/env/lib/python3.11/site-packages/requests/api.py", line 5 in get
output of another thread
  File "/srv/noi/tasks/jobs.py", line 12 in fetch
  File "/run/linodmgr/runner-1/runs.py", line 99 in __call__
  File "/srv/noi/manage.py", line 3 in <module>

Thread 0x00007f11bb [asgiref_0] (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait
  File "/srv/noi/env/lib/python3.11/site-packages/lino/core/kernel.py", line 7 in run
  File "/run/linodmgr/runner-1/runner.py", line 1 in main

Current thread 0x00007f11cc (most recent call first):
  File "/srv/noi/main.py", line 8 in loop
"""


@pytest.mark.parametrize(
    ("thread", "place"),
    [
        (0x7F11AA, "tasks/jobs.py:12 fetch"),
        (0x7F11BB, "lino/core/kernel.py:7 run"),
        (0x7F11CC, "main.py:8 loop"),
        (0, "main.py:8 loop"),
        (12345, "main.py:8 loop"),
    ],
)
def test_the_thread_that_hangs_is_found_by_its_number(thread: int, place: str) -> None:
    assert where(DUMP, thread, PLACE) == place


def test_nobody_s_code_but_python_s_is_better_than_nothing() -> None:
    dump = (
        'Thread 0x01 (most recent call first):\n  File "/usr/lib/python3.11/threading.py", line 3 in wait\n'
    )

    assert where(dump, 0, PLACE) == "/usr/lib/python3.11/threading.py:3 wait"


@pytest.mark.parametrize("text", ["", "nothing of the kind\n", "Thread 0x01 (most recent call first):\n"])
def test_without_a_stack_nothing_is_known(text: str) -> None:
    assert where(text, 1, PLACE) == ""


def test_a_directory_with_letters_that_python_escapes_is_found() -> None:
    dump = (
        'Current thread 0x01 (most recent call first):\n  File "/srv/no\\xe9\\u20ac/jobs.py", line 3 in x\n'
    )

    assert where(dump, 1, Place("/srv/noé€", "/srv/noé€/env", "/nowhere")) == "jobs.py:3 x"
