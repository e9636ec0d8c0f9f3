"""What plays of workers say of their jobs, and what they can be asked."""

import json
import time
from pathlib import Path
from typing import Any

from linodmgr.core.job import Job
from tests.eventually import eventually
from tests.real.puppets import Theatre

# Stands before a play that tells of jobs; after it the play has been told to go.
GOES = """\
import json, time
def tell(**report):
    say(json.dumps(report))
def begin(run, job="mails", **more):
    tell(type="begun", run=run, job=job, at=time.time(), **more)
def end(run, job="mails", outcome="ok", **more):
    tell(type="ended", run=run, job=job, at=time.time(), outcome=outcome, duration=0.5, **more)
def hear(kind):
    global heard
    while True:
        while b"\\n" in heard:
            line, _, heard = heard.partition(b"\\n")
            word = json.loads(line)
            print("heard", line.decode(), flush=True)
            if word["type"] == kind:
                return word
        more = daemon.recv(65536)
        if not more:
            sys.exit("hung up")
        heard += more
heard = b""
JOBS = [dict(id="mails", name="send mails", schedule="every 10 seconds", next_run=time.time() + 10),
        dict(id="check", name="checkdata", schedule="every day at 20:00",
             next_run=time.time() + 90, durable=True)]
def ready(stacks=0):
    connect()
    tell(type="hello", version=1, stacks=stacks)
    hear("go")
    say(READY)
    tell(type="jobs", kind="schedule", zone="UTC", jobs=JOBS)
"""


def known(stage: Theatre, name: str, job: str) -> Job | None:
    """Return what the daemon knows of a job, if it knows it."""
    return stage.thread.do(lambda: stage.book.of(name).jobs.get(job))


def until(stage: Theatre, name: str, job: str, outcome: str) -> Job:
    """Return what the daemon knows of a job as soon as its last run has ended like this."""

    def there() -> Job | None:
        one = known(stage, name, job)
        return one if one and one.outcome == outcome and one.run is None else None

    found = eventually(there, f"the last run of {job} of {name} was {outcome}")
    assert found is not None
    return found


def records(stage: Theatre, name: str) -> list[dict[str, Any]]:
    """Return what stands in the history of a site, damaged lines left out."""
    path = stage.home / "history" / f"{name}.jsonl"
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def recorded(stage: Theatre, name: str, kind: str) -> list[dict[str, Any]]:
    """Return the records of this kind, as soon as there is one."""
    return eventually(
        lambda: [one for one in records(stage, name) if one["type"] == kind], f"{name} has a record: {kind}"
    )


def write_history(stage: Theatre, name: str, *facts: dict[str, Any] | str) -> Path:
    """Let a site have a past; a text is written as it is."""
    path = stage.home / "history" / f"{name}.jsonl"
    lines = [fact if isinstance(fact, str) else json.dumps(fact) for fact in facts]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def recently() -> float:
    """Return an instant of the epoch that has just passed."""
    return round(time.time() - 5, 3)
