"""Beside Lino's task runner, in its event loop: looks at the rows, hears wishes, knows that it has ended."""

import asyncio
import sys
import time
import traceback
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

BETWEEN_LOOKS = 60.0  # seconds from one look at all rows to the next
GRACE = 2.0  # seconds in which a process ends whose task runner has ended
SLEEPS = ("background_sleep_time", "max_sleep_time")  # settings of linod, of Lino 24.4 and later and before
UNTIMED = ("next_run", "last_run")  # what every run changes; it is told with its end

Fields = Dict[str, object]


class Watch:
    """What is told of the tasks of one process. Nothing that goes wrong here disturbs the task runner.

    ``in_thread`` makes a coroutine function of one that asks the database, ``plugin`` returns Lino's linod.
    """

    def __init__(
        self,
        runs: Any,
        stop: Any,
        rows: Any,
        tasks: ModuleType,
        is_of_database: Callable[[BaseException], bool],
        guard: Callable[[str], Any],
        in_thread: Callable[..., Any],
        plugin: Callable[[], Any],
    ) -> None:
        self._runs = runs
        self._stop = stop
        self._rows = rows
        self._tasks = tasks
        self._is_of_database = is_of_database
        self._guard = guard
        self._in_thread = in_thread
        self._plugin = plugin
        self._task_runners = 0
        self._side: Any = None  # the asyncio task that looks
        self._wake: Any = None  # asyncio.Event
        self._loop: Any = None
        self._listens_to = -1  # the descriptor
        self._goes_round = False
        self._has_looked = False
        self._jobs: Dict[str, Fields] = {}  # as told, by id
        self._look_at = 0.0  # monotonic
        self._wishes: List[Tuple[str, str]] = []  # that nothing was done about yet
        self._granted: Dict[str, str] = {}  # wishes that Lino knows of: token by id of the job
        self._under_way: Set[str] = set()  # ids of jobs

    async def begin(self) -> None:
        """Set free what a dead worker of ours has left, and look on from now."""
        self._task_runners += 1
        if self._side is not None:
            return
        self._loop = asyncio.get_event_loop()
        with self._guard("cannot look at Lino's tasks"):
            self._wake = asyncio.Event()
            await self._try(self._rows.release)
            self._side = asyncio.ensure_future(self._look_on())

    def end(self, error: Optional[BaseException] = None, silent: bool = False) -> None:
        """Know that a task runner has ended; ``silent``: nobody may come to know, unless the process ends."""
        self._task_runners -= 1
        if self._task_runners > 0:
            return
        if silent:
            self._loop.call_later(GRACE, self._tell_stalled, error)
        if self._side is not None:
            self._side.cancel()
            self._side = None
            self._listen(-1)

    def round(self) -> None:
        """Know that the task runner begins a round."""
        if self._side is not None:
            self._listen(self._runs.fileno())  # before: the next connection may get the same number
        self._runs.tick()
        if self._side is None:
            return
        self._listen(self._runs.fileno())
        self._hear()
        self._goes_round = True
        if self._wishes or not self._has_looked:
            self._wake.set()
        with self._guard("cannot keep Lino's task runner awake"):
            self._keep_awake()

    def begins(self, job: str) -> str:
        """Know that a run of ``job`` begins; return the token of the wish that it fulfils, or nothing."""
        self._under_way.add(job)
        return self._granted.pop(job, "")

    def failed(self, run: Any, error: BaseException) -> None:
        """Tell that ``run`` has ended by what Lino itself raised."""
        self._under_way.discard(run.job)
        run.ended(error)

    async def ended(self, run: Any, row: Any) -> None:
        """Tell that ``run`` has ended, and what its row says since."""
        if not run.job:
            return
        facts: Optional[Fields] = None
        try:
            with self._guard("cannot look at Lino's tasks"):
                facts = await self._try(self._tasks.facts_of, row)
        finally:
            self._under_way.discard(run.job)
            run.ended(next_run=None if facts is None else self._tasks.epoch(facts["next_run"]))
        if facts is not None and run.job in self._jobs:
            with self._guard("cannot tell Lino's tasks"):
                self._take([self._tasks.told(facts)], whole=False)
        elif self._has_looked:
            self._look_at = 0.0  # there is a new row
        if self._side is not None and (self._wishes or not self._look_at):
            self._wake.set()

    def _keep_awake(self) -> None:
        """Let the task runner go round as often as the daemon counts on it: then it looks what is due."""
        plugin, longest = self._plugin(), self._runs.longest_wait
        for name in SLEEPS:
            seconds = getattr(plugin, name, None)
            if isinstance(seconds, (int, float)) and seconds > longest:
                setattr(plugin, name, longest)

    async def _look_on(self) -> None:
        """Look when something may have changed, and now and then."""
        while True:
            with self._guard("cannot look at Lino's tasks"):
                await self._look()
            left = max(self._look_at - time.monotonic(), 1.0) if self._has_looked else None
            try:
                await asyncio.wait_for(self._wake.wait(), left)
            except asyncio.TimeoutError:
                pass
            self._wake.clear()

    async def _look(self) -> None:
        """Fulfil wishes, and tell what has changed in the rows."""
        if not self._goes_round:
            return  # the daemon hears first that it is ready, and Lino makes rows for what is new
        wishes, self._wishes = self._wishes, []
        for job, asked in wishes:
            await self._wish(job, asked)
        if time.monotonic() < self._look_at and self._has_looked:
            return
        self._look_at = time.monotonic() + BETWEEN_LOOKS
        await self._try(self._rows.release)
        look = await self._try(self._rows.look)
        if look is not None:
            self._take([self._tasks.told(facts) for facts in look.facts], whole=True)
            self._has_looked = True
            self._give_up_wishes(look)

    async def _wish(self, job: str, asked: str) -> None:
        if job in self._granted or job in self._under_way:
            self._wishes.append((job, asked))  # after the run that is under way or has been asked for
            return
        reason = await self._try(self._ask, job, asked)
        if reason is None:
            self._wishes.append((job, asked))  # the database will be there again
        elif reason:
            self._runs.decline(asked, reason)

    def _ask(self, job: str, asked: str) -> str:
        """Ask Lino for a run of ``job``; in the thread in which its runs begin."""
        self._granted[job] = asked
        reason = "the database does not answer"
        try:
            reason = str(self._rows.ask(job))
        finally:
            if reason:
                self._granted.pop(job, None)
        return reason

    def _give_up_wishes(self, look: Any) -> None:
        """Decline what somebody has taken back in Lino itself."""
        there = {facts["id"] for facts in look.facts} if look.requested is None else look.requested
        for job in [job for job in self._granted if job not in there and job not in self._under_way]:
            self._runs.decline(self._granted.pop(job), "the request was taken back in Lino")

    def _take(self, told: List[Fields], whole: bool) -> None:
        """Tell what is new in ``told``, which are all jobs if it is the ``whole``."""
        jobs = {} if whole else dict(self._jobs)
        jobs.update((str(job["id"]), job) for job in told)
        before, self._jobs = self._jobs, jobs
        if _lasting(before) != _lasting(jobs) or not self._has_looked:
            self._runs.tell_jobs("lino", [dict(job) for job in jobs.values()])
        elif whole:
            moved = {
                job: told["next_run"]
                for job, told in jobs.items()
                if job not in self._under_way and _is_another(before[job]["next_run"], told["next_run"])
            }
            if moved:
                self._runs.moved(moved)

    async def _try(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what ``function`` does in sync context, None if the database has something against it."""
        try:
            return await self._in_thread(function)(*args)
        except Exception as error:
            if not self._is_of_database(error):
                raise
            return None

    def _hear(self) -> None:
        with self._guard("cannot hear wishes"):
            self._wishes += self._runs.take_wishes()

    def _listen(self, number: int) -> None:
        """Be called when the descriptor ``number`` has something to read; -1: of none."""
        if number == self._listens_to:
            return
        with self._guard("cannot listen to the daemon"):
            if self._listens_to >= 0:
                self._loop.remove_reader(self._listens_to)
            self._listens_to = -1
            if number >= 0:
                self._loop.add_reader(number, self._heard)
                self._listens_to = number

    def _heard(self) -> None:
        """Read what the daemon has said, or that it has gone; the rounds tell it that we are there."""
        self._hear()
        self._listen(self._runs.fileno())
        if self._wishes:
            self._wake.set()

    def _tell_stalled(self, error: Optional[BaseException]) -> None:
        """Tell that the process lives on without its task runner: its event loop still calls."""
        if self._task_runners > 0 or self._stop.requested or not self._stop.is_ours():
            return
        reason = "it returned"
        if error is not None:
            traceback.print_exception(type(error), error, error.__traceback__)
            sys.stderr.flush()
            reason = traceback.format_exception_only(type(error), error)[-1].strip()
        self._runs.stalled(f"Lino's task runner has ended: {reason}")


def _lasting(jobs: Dict[str, Fields]) -> List[Fields]:
    """Return what is told of ``jobs`` but for what every run changes."""
    return [{key: value for key, value in job.items() if key not in UNTIMED} for job in jobs.values()]


def _is_another(before: Any, after: Any) -> bool:
    """Whether the next run was moved; one that is due is due now, whenever that is."""
    if before is None or after is None:
        return before is not after
    now = time.time()
    return abs(before - after) > 1 and not (before <= now + 1 and after <= now + 1)
