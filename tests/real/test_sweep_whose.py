"""Where there are no control groups: whom nobody but himself says to be a worker's is left alone."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from linodmgr import birth
from linodmgr.daemon import kin, sweep
from linodmgr.daemon.groups import Owners
from tests.eventually import eventually
from tests.real.swept import Swept, process

NOBODY = 65534
# What has the pid of a worker by now: it leads a session, leaves somebody there and ends.
LEAVES = """\
import os, subprocess
print(subprocess.Popen(["sleep", "100000"], stdout=subprocess.DEVNULL, env={}).pid)
"""
# Root's script, or what is left of it, runs something as another user, who bears whatever mark he likes.
SCRIPT = f"""\
import os, subprocess, sys
for keys in ({{}}, {{"user": {NOBODY}, "env": {{"{kin.START}": "one"}}}}):
    print(subprocess.Popen(["sleep", "100000"], stdout=subprocess.DEVNULL, **keys).pid)
print(flush=True)
sys.stdin.read()
"""
RELEASED = b"12 (sleep) R 0 -1 -1 0 -1 4228100 0 0 0 0 0 0 0 0 20 0 0 0 400 0 0 18446744073709551615"


def is_alive(pid: int) -> bool:
    found = kin.look(pid)
    return found is not None and not found.is_dead


@contextlib.contextmanager
def left_by(program: str, ends: bool) -> Iterator[tuple[int, list[int]]]:
    """Yield the leader of a session, which has ended or not, and whom it has started."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as leader:
        assert leader.stdin
        assert leader.stdout
        pids = [int(line) for line in iter(leader.stdout.readline, "\n") if line]
        if ends:
            leader.stdin.close()
            leader.wait()
        try:
            yield leader.pid, pids
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(leader.pid, signal.SIGKILL)


def test_who_is_in_the_session_of_whoever_has_the_pid_of_an_old_worker_by_now_is_left_alone(
    swept: Swept,
) -> None:
    with left_by(LEAVES + "print(flush=True)", ends=True) as (leader, [left]):
        swept.end_of_old("one", leader, os.geteuid())

        eventually(lambda: swept.over == ["one"], "it is over")
        assert is_alive(left)


def test_who_is_in_the_session_of_an_old_worker_is_ended_if_another_there_bears_its_mark(
    swept: Swept,
) -> None:
    marked = LEAVES.replace("env={}", f"env={{'{kin.START}': 'one'}}")
    with left_by(LEAVES + marked + "print(flush=True)", ends=True) as (leader, pids):
        swept.end_of_old("one", leader, os.geteuid())

        eventually(lambda: swept.over == ["one"], "it is over")
        assert not any(is_alive(pid) for pid in pids)


@pytest.mark.root
@pytest.mark.parametrize("ends", [False, True])
def test_others_in_the_process_group_of_who_bears_a_mark_are_left_alone(swept: Swept, ends: bool) -> None:
    with left_by(SCRIPT, ends) as (_, [roots, users]):
        swept.end_of_old("one", -1, NOBODY)

        eventually(lambda: swept.over == ["one"], "it is over")
        assert not is_alive(users)
        assert is_alive(roots)


@pytest.mark.root
def test_a_mark_is_not_believed_of_another_user(swept: Swept) -> None:
    with process("one", "sleep", "100000") as roots:
        swept.end_of_old("one", -1, NOBODY)

        eventually(lambda: swept.over == ["one"], "it is over")
        assert roots.poll() is None


def test_a_pass_for_which_there_is_no_descriptor_is_made_later(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = kin.processes
    failures = [OSError(errno.EMFILE, "no descriptor"), OSError(errno.EMFILE, "no descriptor")]

    def scarce() -> list[int]:
        if failures:
            raise failures.pop()
        return listed()

    monkeypatch.setattr(kin, "processes", scarce)
    with process("one", "sleep", "100000") as left:
        swept.end("one")

        eventually(lambda: swept.over == ["one"], "it is over")
        assert left.wait() == -signal.SIGKILL
    assert not failures


def test_a_pass_in_which_nobody_could_be_looked_at_is_none(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = kin.look
    passes: list[int] = []
    listed = kin.processes

    def scarce(pid: int) -> kin.Kin | None:
        return look(pid) if len(passes) > 5 else None

    def counted() -> list[int]:
        passes.append(0)
        return listed()

    monkeypatch.setattr(sweep, "AGAIN", 0.01)
    monkeypatch.setattr(kin, "look", scarce)
    monkeypatch.setattr(kin, "processes", counted)
    with process("one", "sleep", "100000") as left:
        swept.end_of_old("one", -1, os.geteuid())

        eventually(lambda: swept.over == ["one"], "it is over")
        assert left.wait() == -signal.SIGKILL
    assert len(passes) > 5


def test_one_end_that_cannot_be_told_does_not_hold_up_others(swept: Swept) -> None:
    swept.end_badly("bad")
    swept.end("good")

    eventually(lambda: swept.over == ["good"], "the other one is over")


def test_who_is_just_being_let_go_by_the_kernel_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(birth, "open", lambda *_args, **_keys: io.BytesIO(RELEASED), raising=False)

    assert kin.look(12) is None
    assert birth.born(12) == 0
    assert not birth.lives(12, 400)


def test_whose_a_group_is_is_known_from_a_whole_pass_on() -> None:
    mine = kin.Kin(pid=os.getpid(), parent=1, group=77, session=77, started=1, is_dead=False)
    owners = Owners()

    owners.note(mine)
    assert not owners.is_of_one(77, is_strict=False)

    owners.next_pass()
    assert owners.is_of_one(77, is_strict=True)
    assert owners.is_of_one(78, is_strict=False)  # younger than that pass
    assert not owners.is_of_one(78, is_strict=True)

    owners.note(kin.Kin(pid=1 << 30, parent=1, group=77, session=77, started=1, is_dead=False))
    assert not owners.is_of_one(77, is_strict=False)

    owners.forget()
    assert not owners.is_of_one(77, is_strict=False)
