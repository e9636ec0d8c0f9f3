"""The reload plan: only what changed is touched, and restarted only where it must be."""

from typing import Any

import msgspec
import pytest

from linodmgr.core.plan import OF_THE_PROCESS, Plan, changes, plan
from linodmgr.core.site import Identity, Policy, Site

WWW = Identity("www-data", 33, 33, (), "/var/www", "/usr/sbin/nologin")
NOI = Site(name="noi", directory="/srv/noi", identity=WWW)


def sites(*some: Site) -> dict[str, Site]:
    return {site.name: site for site in some}


def changed(site: Site, **new: Any) -> Site:
    return msgspec.structs.replace(site, **new)


def test_nothing_changed_nothing_is_touched() -> None:
    assert plan(sites(NOI), sites(changed(NOI))) == Plan(unchanged=("noi",))


def test_sites_come_and_go() -> None:
    cosi = changed(NOI, name="cosi", directory="/srv/cosi")

    assert plan(sites(NOI), sites(cosi)) == Plan(added=("cosi",), removed=("noi",))
    assert plan({}, sites(NOI)) == Plan(added=("noi",))
    assert plan(sites(NOI), {}) == Plan(removed=("noi",))


@pytest.mark.parametrize(
    "new",
    [
        {"directory": "/srv/noi2"},
        {"identity": Identity("joe", 1000, 1000, (), "/home/joe", "/bin/bash")},
        {"identity": None, "problem": "unknown user 'joe'"},
        {"venv": "env38"},
        {"manage": "bin/manage.py"},
        {"arguments": ("linod", "--force")},
        {"environment": {"LINO_LOG": "1"}},
        {"environment_file": ".env"},
        {"umask": 0o022},
        {"stop_signal": 2},
        {"nice": 5},
        {"open_files": 4096},
        {"isolate_jobs": False},
    ],
    ids="+".join,
)
def test_what_a_process_was_started_with_needs_another_process(new: dict[str, Any]) -> None:
    assert plan(sites(NOI), sites(changed(NOI, **new))) == Plan(restarted=("noi",))


@pytest.mark.parametrize(
    "new",
    [
        {"problem": "umask: must be octal digits"},
        {"policy": Policy(stop_timeout=5.0)},
        {"enabled": False},
        {"log_keep": 9},
        {"log_max_bytes": 1000},
        {"memory_max": 512_000_000},
        {"job_timeout": 60.0},
        {"watchdog": 0.0},
        {"catch_up": False},
        {"jobs": {"checkdata": 60.0}},
        {"notify": "/usr/local/bin/tell"},
    ],
    ids="+".join,
)
def test_everything_else_takes_effect_without_a_restart(new: dict[str, Any]) -> None:
    assert plan(sites(NOI), sites(changed(NOI, **new))) == Plan(adjusted=("noi",))


def test_a_change_of_both_kinds_is_one_restart() -> None:
    assert plan(sites(NOI), sites(changed(NOI, umask=0o022, log_keep=9))) == Plan(restarted=("noi",))


def test_the_plan_follows_the_order_of_the_new_configuration() -> None:
    old = [Site(name=name, directory=f"/srv/{name}") for name in ("a", "b", "c")]
    new = [changed(site, umask=0o077) for site in reversed(old)]

    assert plan(sites(*old), sites(*new)).restarted == ("c", "b", "a")


def test_changes_are_named_by_their_fields() -> None:
    assert changes(NOI, changed(NOI, umask=0o077, nice=3)) == {"umask", "nice"}
    assert changes(NOI, NOI) == frozenset()


def test_every_field_named_for_a_restart_is_a_field_of_a_site() -> None:
    assert set(OF_THE_PROCESS) <= {field.name for field in msgspec.structs.fields(Site)}
