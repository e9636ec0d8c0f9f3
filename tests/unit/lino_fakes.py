"""What stands for Lino, its database and the daemon where the hooks for Lino's tasks are tested."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace, TracebackType
from typing import Any

from linodmgr.site import lino_tasks

THEN = datetime(2030, 6, 1, 12, 0, 0, 5, tzinfo=timezone.utc)


class DatabaseError(Exception):
    """Stands for what Django's databases raise."""


class Runs:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.wishes: list[tuple[str, str]] = []
        self.longest_wait = 15.0
        self.past: dict[str, dict[str, object]] = {}

    def begin(self, job: str, *, asked: str = "", mark: str = "") -> int:
        self.told.append(("begun", job, asked, mark))
        return 7

    def end(self, run: int, outcome: str, error: BaseException | None, next_run: float | None) -> None:
        self.told.append(("ended", run, outcome, error, next_run))

    def tell_jobs(self, kind: str, described: list[dict[str, object]]) -> None:
        assert kind == "lino"
        self.told.append(("jobs", *(job["id"] for job in described)))

    def moved(self, next_runs: dict[str, float | None]) -> None:
        self.told.append(("moved", next_runs))

    def stalled(self, reason: str) -> None:
        self.told.append(("stalled", reason))

    def decline(self, asked: str, reason: str) -> None:
        self.told.append(("declined", asked, reason))

    def tick(self) -> None:
        self.told.append(("tick",))

    def take_wishes(self) -> list[tuple[str, str]]:
        wishes, self.wishes = self.wishes, []
        return wishes

    def fileno(self) -> int:
        return -1


class Stop:
    """A process that goes on."""

    def __init__(self) -> None:
        self.requested = False

    def is_ours(self) -> bool:
        return True

    def round(self) -> None:
        """Know that the loop goes round."""

    def job(self) -> AbstractContextManager[bool]:
        return _May()

    def home(self) -> AbstractContextManager[bool]:
        return _May()


class Guard:
    """Keeps what was swallowed."""

    def __init__(self) -> None:
        self.caught: list[str] = []

    def __call__(self, what: str) -> "_Guarded":
        return _Guarded(self, what)


class _Guarded:
    def __init__(self, guard: Guard, what: str) -> None:
        self._guard, self._what = guard, what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self._guard.caught.append(f"{self._what}: {error}")
            return True
        return False


class _May:
    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        """End."""


def in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Stands for sync_to_async."""

    async def call(*args: Any) -> Any:
        return function(*args)

    return call


class Task:
    """A row with the methods that Lino's own have; ``does`` is what its function does."""

    _meta = SimpleNamespace(label="linod.SystemTask")
    procedure = SimpleNamespace(value="works")
    positions = ""

    def __init__(self, pk: int = 1, does: Callable[[], None] = lambda: None) -> None:
        self.pk = pk
        self.name = f"works {pk}"
        self.every = 10
        self.every_unit = SimpleNamespace(name="secondly")
        self.disabled = False
        self.message = ""
        self.last_start_time: datetime | None = None
        self.last_end_time: datetime | None = None
        self.saved: list[str] = []
        self.does = does

    def get_next_suggested_date(self, after: datetime) -> datetime:
        return after + timedelta(seconds=self.every)

    def save(self) -> None:
        self.saved.append("running" if lino_tasks.is_running(self) else "over")

    def run_task(self, _ar: object) -> None:
        self.does()

    async def start_task(self, ar: object) -> None:
        """Do what Lino does."""
        self.last_start_time, self.last_end_time = THEN, None
        self.save()
        try:
            self.run_task(ar)
        except Warning:
            pass
        except Exception:  # noqa: BLE001 - as Lino
            self.disabled = True
        self.last_end_time = THEN + timedelta(seconds=1)
        self.save()
