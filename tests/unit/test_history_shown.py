"""How past runs and ends of workers are shown."""

from datetime import datetime, timezone

from linodmgr.cli import history
from linodmgr.protocol import PastExit, PastRun, SiteHistory

NOI = SiteHistory(
    "noi",
    [
        PastRun("1", "send", "2026-11-23T19:00:00Z", "ok", 12.3),
        PastRun(
            "2", "check", "2026-11-23T19:00:02.500000Z", "failed", 0.2, error="ValueError: x", trace="T\n  x"
        ),
    ],
    [PastExit("2026-11-23T19:00:02Z", "exited with status 1", 75.0, ("last", "words\x1b[2J"))],
)
VOGA = SiteHistory("voga", [PastRun("1", "send", "2026-11-23T19:00:01Z", "missed")], [])


def local(second: int) -> str:
    then = datetime(2026, 11, 23, 19, 0, second, tzinfo=timezone.utc).astimezone()
    return f"{then:%Y-%m-%d %H:%M:%S}"


def test_runs_and_exits_of_all_sites_are_in_the_order_in_which_they_happened() -> None:
    rows = [history.row(past) for past in history.merged([NOI, VOGA])]

    assert rows == [
        [local(0), "noi", "send", "ok", "12 s", ""],
        [local(1), "voga", "send", "missed", "-", ""],
        [local(2), "noi", "worker", "exit", "75 s", "exited with status 1"],
        [local(2), "noi", "check", "failed", "200 ms", "ValueError: x"],
    ]


def test_of_one_job_only_runs_are_shown() -> None:
    assert all(isinstance(past.what, PastRun) for past in history.merged([NOI], runs_only=True))


def test_what_was_printed_stands_below_and_is_harmless() -> None:
    lines = list(history.with_traces(history.merged([NOI])))

    assert lines[3:5] == ["    last", "    words\\x1b[2J"]
    assert lines[-2:] == ["    T", "      x"]


def test_the_reason_says_what_was_special() -> None:
    def reason(outcome: str = "ok", **known: bool) -> str:
        return history.reason(PastRun("1", "f", "2026-11-23T19:00:00Z", outcome, **known))  # type: ignore[arg-type]

    assert reason() == ""
    assert reason(caught_up=True) == "caught up"
    assert reason(asked=True) == "asked for"
    assert reason("unknown") == "nobody saw its end"


def test_the_json_names_the_site_of_each() -> None:
    shown = history.report(history.merged([NOI, VOGA]))

    assert [run["site"] for run in shown["runs"]] == ["noi", "voga", "noi"]
    assert [(one["site"], one["cause"]) for one in shown["exits"]] == [("noi", "exited with status 1")]
