"""What people ask of jobs: which there are, to run one, and the past."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Protocol

from msgspec.structs import replace

from linodmgr.core import shown
from linodmgr.core.facts import Fact, RunEnded
from linodmgr.core.job import Job
from linodmgr.core.job_states import state
from linodmgr.core.states import Running, Starting
from linodmgr.daemon.handover import HandedWish
from linodmgr.daemon.history import History
from linodmgr.daemon.instants import maybe
from linodmgr.daemon.jobs import JobBook, find
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.past_runs import told
from linodmgr.daemon.watching import Watch
from linodmgr.daemon.wishes import Wish
from linodmgr.errors import LinodmgrError, UsageError
from linodmgr.protocol import Answer, Done, JobRun, JobStatus, Refused, SiteJobs, encode

CANDIDATES = 20  # jobs that are named to somebody who meant another


class Asker(Protocol):
    """Whoever asks: gets answers, the last of which ends it."""

    leaving: list[Callable[[], None]]  # called when it has gone
    follows: Callable[[], HandedWish] | None  # a run, as it is by now
    reads: asyncio.Event  # it has taken what it was told

    def answer(self, answer: Answer) -> None: ...
    def send(self, data: bytes) -> None: ...
    def finish(self, answer: Answer) -> None: ...


class JobAnswers:
    """Reads what is known of jobs, and passes wishes on."""

    def __init__(self, loop: Loop, book: JobBook, history: History, logs: Logs) -> None:
        self._loop = loop
        self._book = book
        self._history = history
        self._logs = logs
        # No earlier daemon with our pid, which an upgrade keeps, has used the same ones.
        begun = time.monotonic_ns()
        self._tokens = (f"{os.getpid()}-{begun}-{number}" for number in count(1))

    def tell(self, asker: Asker, names: Sequence[str], *, all_sites: bool, watch: bool) -> None:
        """Answer the jobs of each site, then Done; or go on with those of which something is new."""
        unread = set(names)

        def read(name: str) -> None:
            unread.discard(name)
            if not unread:
                self._tell_all(asker, names, all_sites=all_sites, watch=watch)

        for name in names:
            self._book.recall(name, partial(read, name))
        if not names:
            self._tell_all(asker, names, all_sites=all_sites, watch=watch)

    def site_jobs(self, name: str) -> SiteJobs:
        """Return what is known of the jobs of a site."""
        site = self._book.of(name)
        wall, now = self._loop.instants()
        jobs = [_status(job, wall, now, live=site.live) for job in site.shown()]
        reason = "" if site.live else self._why_unknown(name)
        return SiteJobs(name, site.live, jobs, maybe(site.as_of), site.kind, site.zone, reason, site.lost)

    def run(self, asker: Asker, names: Sequence[str], wanted: str, *, wait: bool) -> None:
        """Have a job run, and answer how it goes. Raises LinodmgrError if it cannot be."""
        name, job = self._chosen(names, wanted)
        asked = HandedWish(token=next(self._tokens), site=name, job=job.id, name=job.name, wanted=wanted)
        if wait:
            self.follow(asker, asked)
        inode, begin = self._logs.place(name)
        if not self._book.run_now(name, job.id, asked.token):
            raise LinodmgrError(f"{_cannot(wanted, name)}: its worker cannot be reached")
        path = str(self._logs.path(name))
        asker.answer(JobRun(name, job.id, job.name, "queued", log=path, log_from=begin, log_inode=inode))
        if not wait:
            asker.finish(Done())

    def follow(self, asker: Asker, asked: HandedWish) -> None:
        """Answer each state that a run comes to which was asked for, perhaps of an earlier daemon."""
        name, path = asked.site, str(self._logs.path(asked.site))

        def told(state: str, run: RunEnded) -> None:
            if state == "declined":
                asker.finish(Refused(f"{_cannot(asked.wanted, name)}: {run.error}"))
                return
            is_over = state not in ("queued", "running")
            duration = run.duration if is_over and state != "dead" else None
            word = "failed" if state == "dead" else state
            inode, size = self._logs.place(name)
            asker.answer(
                JobRun(name, asked.job, asked.name, word, duration, run.error, run.trace, path, size, inode)
            )
            if is_over:
                asker.finish(Done())

        wish = Wish(name, asked.job, told, asked.state)
        self._book.wishes.add(asked.token, wish)
        asker.follows = lambda: replace(asked, state=wish.state)
        asker.leaving.append(lambda: self._book.wishes.forget(asked.token))

    async def tell_past(self, asker: Asker, names: Sequence[str], job: str, limit: int) -> None:
        """Answer the past of each site, then Done."""
        for name in names:
            if name not in self._loop.sites:
                continue
            asker.send(await self._past(name, job, limit))
            await asker.reads.wait()
        asker.finish(Done())

    async def _past(self, name: str, job: str, limit: int) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        underway = {
            (one.id, one.run.at) for one in self._book.of(name).underway.values() if one.run is not None
        }

        def work(facts: list[Fact]) -> bytes:
            return encode(told(name, facts, underway, job, max(limit, 0)))

        def then(data: bytes) -> None:
            if not answer.done():
                answer.set_result(data)

        self._history.read(name, work, then)
        return await answer

    def _tell_all(self, asker: Asker, names: Sequence[str], *, all_sites: bool, watch: bool) -> None:
        for name in names:
            if name in self._loop.sites:
                asker.answer(self.site_jobs(name))
        if not watch:
            asker.finish(Done())
            return
        watching = Watch(self._loop, self._book, asker, self.site_jobs, None if all_sites else set(names))
        asker.leaving.append(watching.end)

    def _chosen(self, names: Sequence[str], wanted: str) -> tuple[str, Job]:
        """Return which site and job are meant. Raises LinodmgrError."""
        if len(names) != 1:
            raise UsageError(f"cannot run {wanted!r}: several sites are meant: {', '.join(names)}")
        [name] = names
        site, worker = self._book.of(name), self._loop.fleet[name]
        if not isinstance(worker.state, Starting | Running):
            raise LinodmgrError(f"{_cannot(wanted, name)}: its worker is not running: {shown.word(worker)}")
        if not site.live:
            raise LinodmgrError(f"{_cannot(wanted, name)}: {self._why_unknown(name)}")
        found = find(site, wanted)
        if len(found) == 1:
            return name, found[0]
        if found:
            candidates = ", ".join(job.id for job in found[:CANDIDATES])
            raise UsageError(f"{_cannot(wanted, name)}: several jobs have this name: candidates {candidates}")
        known = site.shown()
        similar = [job for job in known if wanted.lower() in job.name.lower()] or known
        candidates = ", ".join(dict.fromkeys(job.name for job in similar[:CANDIDATES])) or "none"
        raise UsageError(f"{_cannot(wanted, name)}: no such job: candidates {candidates}")

    def _why_unknown(self, name: str) -> str:
        if unhooked := self._book.unhooked(name):
            return f"runs unhooked: {unhooked}"
        reason, word = self._loop.reason(name), shown.word(self._loop.fleet[name])
        if word == "RUNNING":
            return "it has not told its jobs"
        return f"{word}: {reason}" if reason else word


def _cannot(wanted: str, name: str) -> str:
    return f"cannot run {wanted!r} of {name!r}"


def _status(job: Job, wall: float, now: float, *, live: bool) -> JobStatus:
    defined, run = job.defined, job.run
    word = state(job, wall, now, live=live)
    return JobStatus(
        id=defined.id,
        name=defined.name,
        schedule=defined.schedule,
        state=word,
        interval=defined.interval,
        at=defined.at,
        last_run=maybe(job.started),
        next_run=maybe(job.next_run),
        outcome=job.outcome or None,
        duration=job.duration,
        running_since=maybe(run.at) if run else None,
        error=(job.error or None) if job.outcome == "failed" else None,
        why=(defined.why or None) if not defined.enabled else None,
        missed=maybe(job.missed),
        caught_up=job.caught_up,
        text=defined.text,
    )
