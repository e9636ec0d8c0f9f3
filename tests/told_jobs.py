"""A site of two jobs, and what its runner tells of them: for tests of what is known of jobs."""

from linodmgr.core.jobs import SiteJobs
from linodmgr.core.told import Definition, End, Run

WALL, NOW = 1_700_000_000.0, 5000.0
MAILS = Definition("tasks.mails", "mails", "every 10 seconds", 10.0, next_run=WALL + 10)
CHECK = Definition("tasks.check", "check", "every day at 20:00", at="20:00", next_run=WALL + 60, durable=True)


def known(*some: Definition) -> SiteJobs:
    site = SiteJobs()
    site.define("schedule", "Europe/Brussels", some or (MAILS, CHECK), first=True)
    return site


def begun(number: int = 1, job: str = "tasks.mails", at: float = WALL) -> Run:
    return Run(number, job, at)


def ended(number: int = 1, job: str = "tasks.mails", outcome: str = "ok", at: float = WALL + 2) -> End:
    return End(number, job, at, outcome, 2.0, next_run=at + 10)
