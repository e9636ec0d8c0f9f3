"""A `schedule` of its own with the runner's hooks, and the clocks that both see: tests let time pass."""

import importlib.util
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from types import ModuleType
from typing import Any

import schedule

from linodmgr.site import due, schedule_jobs
from linodmgr.site.due import Clock
from linodmgr.site.on_schedule import Hooks, hook
from linodmgr.site.plans import Plans


@contextmanager
def local(zone: str) -> Iterator[None]:
    """Let the process live in ``zone``."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


class ShownClock(datetime):
    """What `schedule` takes for the clock."""

    at = 0.0

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.fromtimestamp(cls.at, tz)


def load() -> Any:
    """Return a `schedule` of its own, whose clock is `ShownClock`."""
    assert schedule.__file__ is not None
    spec = importlib.util.spec_from_file_location("schedule_of_tests", schedule.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fake = ModuleType("datetime")
    fake.__dict__.update({name: getattr(module.datetime, name) for name in dir(module.datetime)})
    fake.__dict__["datetime"] = ShownClock
    module.__dict__["datetime"] = fake
    return module


class FakeClock(Clock):
    """A clock that tests set."""

    def __init__(self, now: float) -> None:
        self.at = now
        self.ticks = 0.0
        super().__init__()
        self.show()

    def now(self) -> float:
        return self.at

    def steady(self) -> float:
        return self.ticks

    def show(self) -> None:
        """Let `schedule` see it."""
        ShownClock.at = self.at

    def goes(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds
        self.ticks += seconds
        self.show()

    def is_set(self, seconds: float) -> None:
        """Set it forward, or back."""
        self.at += seconds
        self.show()


class FakeRuns:
    """Writes down what is told."""

    def __init__(self) -> None:
        self.past: dict[str, dict[str, object]] = {}
        self.isolate = True
        self.catch_up = True
        self.longest_wait = float("inf")
        self.told: list[tuple[Any, ...]] = []
        self.jobs: list[dict[str, Any]] = []
        self.wishes: list[tuple[str, str]] = []

    def begin(self, job: str, **more: Any) -> int:
        self.told.append(("begun", job, more))
        return len(self.told)

    def end(self, run: int, outcome: str, error: Any = None, next_run: Any = None) -> None:
        self.told.append(("ended", outcome, next_run))

    def tell_jobs(self, kind: str, described: list[dict[str, Any]]) -> None:
        self.jobs = json.loads(json.dumps(described))

    def missed(self, job: str, regular: float, next_run: float) -> None:
        self.told.append(("missed", job, regular, next_run))

    def moved(self, next_runs: dict[str, float]) -> None:
        self.told.append(("moved", dict(next_runs)))

    def decline(self, asked: str, reason: str) -> None:
        self.told.append(("declined", asked))

    def tick(self) -> None:
        """Nothing to hear."""

    def take_wishes(self) -> list[tuple[str, str]]:
        wishes, self.wishes = self.wishes, []
        return wishes


class NoStop:
    """A stop that nobody asks for."""

    requested = False

    def is_ours(self) -> bool:
        return True

    def round(self) -> None:
        """Go on."""

    def job(self) -> "NoStop":
        return self

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        """Go on."""


class World:
    """A `schedule` with our hooks, and a clock."""

    def __init__(self, now: float) -> None:
        self.package: Any = load()
        self.clock = FakeClock(now)
        self.runs = FakeRuns()
        self.broken: list[str] = []
        self.failed: list[tuple[str, str]] = []
        plans = Plans(self.runs, due, schedule_jobs, self.clock)
        self.hooks: Hooks = hook(
            self.package,
            NoStop(),
            begins=lambda: None,
            runs=self.runs,
            plans=plans,
            broken=self.broken.append,
            failed=lambda name, following, _: self.failed.append((name, following)),
        )

    def round(self) -> list[tuple[Any, ...]]:
        """Let the loop go round, and return what is told."""
        self.runs.told.clear()
        self.package.run_pending()
        assert not self.broken
        return list(self.runs.told)

    def runs_at(self, seconds: float, step: float = 1.0) -> list[float]:
        """Return when runs begin in the next ``seconds``, from now on."""
        begin, found = self.clock.ticks, []
        while self.clock.ticks < begin + seconds:
            found += [self.clock.ticks - begin for one in self.round() if one[0] == "begun"]
            self.clock.goes(step)
        return found
