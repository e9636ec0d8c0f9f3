"""Plain Django sites under the runner: READY, the two reasons to rest, unhooked ones, and their list."""

from pathlib import Path

import pytest

from linodmgr.runner_protocol import Begun, Ended, Idle, Jobs, Ready, Remark, Unhooked
from tests.real.django_sites import make_site
from tests.real.runner_harness import list_mode, listed, started

JOBS = """\
from linodmgr.linod import schedule_daily, schedule_often

@schedule_often(every=1)
def works():
    open("ran", "a").write("x")

@schedule_daily(at="20:00")
def cleans_up():
    open("ran", "a").write("y")
"""

COMMAND = """\
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def handle(self, *args, **options):
        {body}
"""


def site(directory: Path, jobs: str = JOBS, use_linod: bool | None = True) -> Path:
    return make_site(directory / "site", jobs, use_linod)


def with_command(made: Path, name: str, body: str) -> Path:
    """Return the site, now with a command of its own."""
    for package in ("management", "management/commands"):
        (made / "tasks" / package).mkdir()
        (made / "tasks" / package / "__init__.py").write_text("")
    (made / "tasks" / "management" / "commands" / f"{name}.py").write_text(COMMAND.format(body=body))
    return made


def test_ready_is_said_when_the_loop_has_begun(runtime: Path) -> None:
    made = site(runtime)

    with started(runtime, made) as runner:
        runner.begin()
        runner.expect(Ready)
        runner.prints("2 scheduled jobs:\n")
        runner.expect(Jobs)
        runner.stop()
        assert runner.ends() == 0, runner.text()

    assert [type(report) for report in runner.said[1:3]] == [Ready, Jobs]


@pytest.mark.parametrize(
    ("use_linod", "jobs", "reason"),
    [
        (False, JOBS, "does not use linod"),
        (None, JOBS, "does not use linod"),
        (True, "", "no jobs"),
    ],
)
def test_a_site_with_nothing_to_do_says_so(
    use_linod: bool | None, jobs: str, reason: str, runtime: Path
) -> None:
    made = site(runtime, jobs, use_linod)

    with started(runtime, made) as runner:
        runner.begin()
        assert runner.ends() == 0

    assert runner.said[1:] == [Idle(reason)]
    assert listed(runtime, made) == {
        "uses_linod": use_linod is True,
        "reason": reason,
        "kind": "schedule",
        "jobs": [],
    }


@pytest.mark.parametrize("jobs", ["import nowhere", "1/0", "raise SystemExit(0)", "raise SystemExit"])
def test_a_site_that_breaks_off_is_not_at_rest(jobs: str, runtime: Path) -> None:
    with started(runtime, site(runtime, jobs)) as runner:
        runner.begin()
        runner.ends()

    assert not any(isinstance(report, Idle | Ready) for report in runner.said)


def test_a_job_that_exits_is_an_end_after_ready(runtime: Path) -> None:
    made = site(runtime, JOBS.replace('open("ran", "a").write("x")', "raise SystemExit"))

    with started(runtime, made) as runner:
        runner.begin()
        assert runner.ends() == 0

    assert [type(report) for report in runner.said[1:]] == [Ready, Jobs, Begun, Ended]


def test_asking_for_help_is_not_a_rest(runtime: Path) -> None:
    with started(runtime, site(runtime, use_linod=False), ["linod", "--help"]) as runner:
        runner.begin()
        assert runner.ends() == 0

    assert len(runner.said) == 1


def test_a_command_that_is_not_there_is_named(runtime: Path) -> None:
    made = site(runtime)

    with started(runtime, made, ["lino"]) as runner:
        runner.begin()
        assert runner.ends() == 1

    assert runner.said[1:] == [Remark("manage.py knows no command 'lino'")]


def test_a_command_of_unknown_kind_runs_unhooked(runtime: Path) -> None:
    made = with_command(site(runtime), "works", "open('ran', 'w').close()")

    with started(runtime, made, ["works"]) as runner:
        runner.begin()
        assert runner.ends() == 0

    assert runner.said[1:] == [Unhooked("'works' is not a command whose loop linodmgr knows")]
    assert (made / "ran").exists()


def test_hooks_that_do_not_fit_do_not_keep_a_site_from_running(runtime: Path) -> None:
    made = site(runtime, "")
    (made / "schedule.py").write_text("class Scheduler: pass\nclass Job: pass\nprint('it is imported')\n")
    (made / "manage.py").write_text(
        "import schedule\nopen('ran', 'w').close()\n# execute_from_command_line\n"
    )

    with started(runtime, made) as runner:
        runner.begin()
        assert runner.ends() == 0

    (unhooked,) = runner.said[1:]
    assert isinstance(unhooked, Unhooked)
    assert unhooked.reason.startswith("cannot hook schedule: ")
    assert (made / "ran").exists()


def test_the_jobs_are_listed_without_running_any(runtime: Path) -> None:
    made = site(runtime, JOBS + "print('a word of the site')\n")

    done = list_mode(runtime, made)
    jobs = listed(runtime, made)["jobs"]

    assert done.stderr == "a word of the site\n"
    assert [(job["id"], job["interval"], job["at"]) for job in jobs] == [
        ("tasks.jobs.works every second", 1, None),
        ("tasks.jobs.cleans_up every day at 20:00", 86400, "20:00:00"),
    ]
    assert jobs[1]["text"].startswith(
        "Every 1 day at 20:00:00 do cleans_up() (last run: [never], next run: 2"
    )
    assert jobs[1]["next_run"].endswith(("T19:00:00Z", "T18:00:00Z"))  # the site is in Brussels
    assert not (made / "ran").exists()


@pytest.mark.parametrize(
    ("jobs", "arguments", "reason"),
    [
        ("import nowhere", "linod", "cannot list the jobs: No module named 'nowhere'"),
        ("raise SystemExit", "linod", "cannot list the jobs: manage.py has ended before it had listed them"),
        (JOBS, "lino", "cannot list the jobs: manage.py knows no command 'lino'"),
        (JOBS, "works", "cannot list the jobs: 'works' is not a command whose jobs linodmgr knows"),
    ],
)
def test_why_no_jobs_are_listed_is_the_last_line(
    jobs: str, arguments: str, reason: str, runtime: Path
) -> None:
    made = with_command(site(runtime, jobs), "works", "open('ran', 'w').close()")
    with (made / "project" / "settings.py").open("a") as settings:
        settings.write("import atexit\natexit.register(print, 'words at the end')\n")

    done = list_mode(runtime, made, [arguments])

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == reason
    assert not (made / "ran").exists()
