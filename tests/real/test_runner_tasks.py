"""The hooks on Lino's task runner, on something of its shape that starts at once."""

import signal
from pathlib import Path

import pytest

from linodmgr.runner_protocol import Ready, Unhooked
from tests.eventually import eventually
from tests.real.django_sites import make_site
from tests.real.runner_harness import Runner, started

# Stands for `lino.modlib.linod.mixins`: the same shape, with tasks that are no rows of a database.
MIXINS = """\
import asyncio
import os
import time


class Procedures:
    @classmethod
    def task_classes(cls):
        return [Slow, Other]


class Runnable:
    last_end_time = None

    async def start_task(self, ar):
        print(f"{type(self).__name__} begins")
        loop = asyncio.get_event_loop()
        await loop.run_in_executor(None, self.run_task, ar)
        self.last_end_time = time.time()
        print(f"{type(self).__name__} is written")


class Slow(Runnable):
    def run_task(self, ar):
        if ar == "forks":
            child = os.fork()
            print("child" if child == 0 else f"child ended with {os.waitpid(child, 0)[1]}")
            if child == 0:
                raise SystemExit(3)
        until = time.monotonic() + 60
        while not os.path.exists("finish"):
            time.sleep(0.01)
            assert time.monotonic() < until


class Other(Runnable):
    def run_task(self, ar):
        print("other runs")


async def start_task_runner(ar=None, max_count=None):
    while True:
        for cls in Procedures.task_classes():
            task = cls()
            await task.start_task(ar)
            assert task.last_end_time is not None
        await asyncio.sleep(0.05)
"""

# Lino 24.2 and 24.3: each model has a task runner of its own.
MIXINS_PER_MODEL = (
    MIXINS[: MIXINS.index("class Procedures")]
    + MIXINS[MIXINS.index("class Runnable") : MIXINS.index("class Slow")]
    + """\
    @classmethod
    async def run_them_all(cls, ar):
        task = cls()
        await task.start_task(ar)
        assert task.last_end_time is not None

    @classmethod
    async def start_task_runner(cls, ar, max_count=None):
        while True:
            await cls.run_them_all(ar)
            await asyncio.sleep(0.05)

"""
    + MIXINS[MIXINS.index("class Slow") : MIXINS.index("async def start_task_runner")]
)

# As Lino: a handler of its own that exits, and a thread for channels.
MAIN = """\
import asyncio, atexit, signal, sys, threading, time
from lino.modlib.linod.mixins import start_task_runner

atexit.register(print, "at exit")

def end(number, frame):
    print("the handler is called")
    sys.exit()

signal.signal(signal.SIGTERM, end)

def run():
    asyncio.new_event_loop().run_until_complete(start_task_runner(sys.argv[1]))
"""
IN_MAIN = MAIN + "run()\n"
# Python forgets a signal that comes just before the main thread begins to wait for the other.
IN_THREAD = (
    MAIN
    + """
def run_beside():
    while "join" not in {frame.f_code.co_name for frame in frames()}:
        time.sleep(0.01)
    time.sleep(0.2)
    run()

def frames():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame is not None:
        yield frame
        frame = frame.f_back

thread = threading.Thread(target=run_beside)
thread.start()
thread.join()
"""
)
# Nor does a signal wake it that another thread takes.
UNHEARD = """\
signal.signal(signal.SIGWINCH, lambda *_: print("has heard"))
kill = signal.pthread_kill
left = [1, 2, 3]
def unheard(thread, number):
    kill(threading.get_ident() if left else thread, number)
    if left:
        print("unheard", left.pop())
signal.pthread_kill = unheard
"""
NO_HANDLER = IN_MAIN.replace("signal.signal(signal.SIGTERM, end)", "")

COMMAND = """\
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("--force", action="store_true")

    def handle(self, *args, **options):
        print("force is", options["force"])
"""


def lino_in(directory: Path) -> Path:
    """Return the directory of what stands for Lino's plugin `linod`."""
    place = directory / "lino" / "modlib" / "linod"
    place.mkdir(parents=True)
    for package in (place.parent.parent, place.parent, place):
        (package / "__init__.py").write_text("")
    (place / "mixins.py").write_text(MIXINS)
    return place


def stop_during_a_task(runner: Runner, site: Path) -> None:
    runner.begin()
    runner.expect(Ready)
    runner.prints("Slow begins\n")
    before = times_waited(runner)
    runner.stop()
    eventually(lambda: times_waited(runner) > before, "the main thread has heard it, and waits again")
    (site / "finish").touch()
    assert runner.ends() == 0, runner.text()


def times_waited(runner: Runner) -> int:
    """Return how often the main thread has begun to wait."""
    status = Path(f"/proc/{runner.process.pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


@pytest.mark.parametrize("main", [IN_MAIN, IN_THREAD])
def test_a_task_is_finished_and_written_and_no_other_is_begun(main: str, runtime: Path) -> None:
    lino_in(runtime)
    (runtime / "manage.py").write_text(main)

    with started(runtime, runtime, ["works"]) as runner:
        stop_during_a_task(runner, runtime)

    assert runner.text() == "Slow begins\nSlow is written\nthe handler is called\nat exit\n"


def test_a_main_thread_that_has_not_heard_that_the_task_is_over_is_told_again(runtime: Path) -> None:
    lino_in(runtime)
    (runtime / "manage.py").write_text(IN_THREAD.replace("def run():", UNHEARD + "\ndef run():"))

    with started(runtime, runtime, ["works"]) as runner:
        runner.begin()
        runner.prints("Slow begins\n")
        runner.stop()
        runner.stop(signal.SIGWINCH)  # the handlers of both are called in this order
        runner.prints("has heard\n")
        (runtime / "finish").touch()
        assert runner.ends() == 0, runner.text()

    assert runner.text().startswith("Slow begins\nhas heard\nSlow is written\nunheard 3\n")
    assert runner.text().endswith("unheard 1\nthe handler is called\nat exit\n")


def test_a_task_runner_without_a_handler_is_ended(runtime: Path) -> None:
    lino_in(runtime)
    (runtime / "manage.py").write_text(NO_HANDLER)

    with started(runtime, runtime, ["works"]) as runner:
        stop_during_a_task(runner, runtime)

    assert runner.text() == "Slow begins\nSlow is written\nat exit\n"


def test_a_task_runner_of_one_model_says_ready_and_finishes_its_task(runtime: Path) -> None:
    (lino_in(runtime) / "mixins.py").write_text(MIXINS_PER_MODEL)
    main = IN_MAIN.replace("import start_task_runner", "import Slow")
    (runtime / "manage.py").write_text(main.replace("start_task_runner(", "Slow.start_task_runner("))

    with started(runtime, runtime, ["works"]) as runner:
        stop_during_a_task(runner, runtime)

    assert runner.text() == "Slow begins\nSlow is written\nthe handler is called\nat exit\n"


def test_a_forked_child_does_not_come_back_to_the_task_runner(runtime: Path) -> None:
    lino_in(runtime)
    (runtime / "manage.py").write_text(IN_MAIN)

    with started(runtime, runtime, ["forks"]) as runner:
        runner.begin()
        runner.prints(f"child ended with {3 << 8}\n")
        runner.stop()
        (runtime / "finish").touch()
        assert runner.ends() == 0, runner.text()

    assert runner.text().count("child\n") == 1
    assert runner.text().count("at exit") == 1


def test_a_command_of_lino_is_given_force_where_it_knows_it(runtime: Path) -> None:
    site = make_site(runtime / "site", "", settings='INSTALLED_APPS.append("lino.modlib.linod")\n')
    commands = lino_in(site) / "management" / "commands"
    commands.mkdir(parents=True)
    for package in (commands.parent, commands):
        (package / "__init__.py").write_text("")
    for name in ("linod", "lino_runworker"):
        (commands / f"{name}.py").write_text(COMMAND)
    settings = site / "project" / "settings.py"
    settings.write_text(settings.read_text().replace('"linodmgr.linod", ', ""))

    with started(runtime, site) as runner:
        runner.begin()
        assert runner.ends() == 0

    assert runner.text() == "force is True\n"
    assert [type(report) for report in runner.said[1:]] == [Unhooked]  # its task runner was not imported
