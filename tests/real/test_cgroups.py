"""Control groups of this host: where they are made, how they end, and which are never touched."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from linodmgr import birth, cgroups
from linodmgr.core.site import Site
from linodmgr.daemon.cgroup import Cgroup, Emptying
from linodmgr.daemon.contain import Contain
from tests.eventually import eventually
from tests.real.loop_thread import loop_thread

pytestmark = pytest.mark.root

FAMILY = Path(__file__).parents[1] / "workers" / "family.py"
CONTROLLERS = [
    name
    for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
    for name in Cgroup(mount).read("cgroup.controllers").decode().split()
]
SITE = Site(name="noi", directory="/nowhere")
ENTERS = """\
import os, sys
from pathlib import Path
from linodmgr import cgroups
from linodmgr.daemon.controller import Controller

group, name = sys.argv[1:]
with open(group + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
assert cgroups.find(Path("/run/any")) == group
assert Controller(name, group).is_there
assert os.path.basename(cgroups.group_of(os.getpid())) == cgroups.LEAF
assert cgroups.find(Path("/run/any")) == group
"""


class Old(Cgroup):
    """As a kernel before 5.14 has it."""

    kills_at_once = False

    def kill(self) -> None:
        """Kill one after the other."""
        self.kill_each()


@pytest.fixture
def base(runtime: Path) -> Iterator[str]:
    """A directory for groups, which is removed afterwards."""
    found = cgroups.find(runtime)
    assert found, "root may make control groups"
    Cgroup(found).make()
    yield found
    assert Cgroup(found).remove()
    Contain(found, Path("/")).close()


@pytest.mark.parametrize("kind", ["fertile", "relay", "crowd", "stopped"])
def test_without_cgroup_kill_all_are_killed_as_well(base: str, kind: str) -> None:
    group = Old(f"{base}/w-0")
    group.make()
    begin = f"echo $$ >{group.path}/cgroup.procs; exec {sys.executable} {FAMILY}"
    with (
        loop_thread() as thread,
        subprocess.Popen(["sh", "-c", begin], env={"FAMILY": kind}, stdout=subprocess.PIPE) as leader,
    ):
        assert leader.stdout is not None
        leader.stdout.readline()
        ended: list[str] = []
        emptying = Emptying()
        thread.do(group.kill)
        thread.do(partial(emptying.wait, group, lambda: ended.append(kind)))

        eventually(lambda: ended, "it is empty")

        thread.do(emptying.close)
        assert group.is_empty()
        assert group.remove()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "{base}",
        "{base}/w-{mark}/..",
        "/tmp/../{base}/w-{mark}",
        "{base}/w-0000000000000000",
        "w-{mark}",
    ],
)
def test_a_group_that_a_record_only_claims_is_never_touched(base: str, path: str) -> None:
    contain = Contain(base, Path("/"))
    room = contain.room(SITE)
    assert room.cgroup == f"{base}/w-{room.mark}"

    claimed = path.format(base=base, mark=room.mark)

    assert contain.reopen(claimed, room.mark, SITE).cgroup == ""
    assert contain.reopen(room.cgroup, room.mark, SITE).cgroup == room.cgroup
    assert contain.reopen(room.cgroup, room.mark[1:], SITE).cgroup == ""
    room.close()


def test_what_an_earlier_daemon_left_in_a_group_is_named_and_ended(
    base: str, caplog: pytest.LogCaptureFixture
) -> None:
    contain = Contain(base, Path("/"))
    left, kept, empty = (contain.room(SITE) for _ in range(3))
    with (
        loop_thread() as thread,
        subprocess.Popen(["sleep", "1000"]) as lost,
        subprocess.Popen(["sleep", "1001"]) as wanted,
    ):
        left.take(lost.pid)
        kept.take(wanted.pid)

        thread.do(contain.clear, {kept.cgroup})

        assert lost.wait(timeout=10) == -9
        eventually(lambda: not os.path.exists(left.cgroup), "its group is gone")
        assert not os.path.exists(empty.cgroup)
        assert wanted.poll() is None
        assert f"ending what an earlier daemon left behind: pid {lost.pid} (sleep 1000)" in caplog.text
        wanted.kill()
        wanted.wait()
        thread.do(contain.close)


def test_groups_of_another_daemon_in_the_same_place_are_left_alone(base: str) -> None:
    ours, others = Contain(base, Path("/ours")), Contain(base, Path("/others"))
    full, empty = others.room(SITE), others.room(SITE)
    with loop_thread() as thread, subprocess.Popen(["sleep", "1000"]) as worker:
        full.take(worker.pid)

        thread.do(ours.clear, set())
        thread.do(ours.close)

        assert os.path.exists(empty.cgroup)
        assert worker.poll() is None
        full.kill()
        assert worker.wait(timeout=10) == -9
        full.close()
        empty.close()


def test_who_cannot_be_asked_is_not_taken_for_dead(base: str) -> None:
    room = Contain(base, Path("/")).room(SITE)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with subprocess.Popen(["sleep", "1000"]) as worker:
        room.take(worker.pid)
        born = birth.born(worker.pid)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # the standard streams are open
        try:
            is_empty = room.is_empty()
            with pytest.raises(OSError, match="Too many open files"):
                birth.lives(worker.pid, born)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert not is_empty
        assert birth.lives(worker.pid, born)
        room.kill()
        worker.wait()
        assert not birth.lives(worker.pid, born)
        assert room.is_empty()
        room.close()


@pytest.mark.parametrize("controller", CONTROLLERS[:1])
def test_a_daemon_with_a_group_of_its_own_makes_room_for_the_limits_of_its_workers(
    base: str, controller: str
) -> None:
    mount = base.partition("/linodmgr/")[0]
    for path in (mount, f"{mount}/linodmgr", base):
        Cgroup(path).limit("cgroup.subtree_control", f"+{controller}".encode())
    group = Cgroup(f"{base}/service")
    group.make()
    os.setxattr(group.path, "user.delegate", b"1")

    done = subprocess.run(
        [sys.executable, "-c", ENTERS, group.path, controller],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
    assert group.remove()
    for path in (base, f"{mount}/linodmgr", mount):
        Cgroup(path).limit("cgroup.subtree_control", f"-{controller}".encode())
