"""What tests ask about jobs under a real daemon."""

import json
from typing import Any

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon


def jobs(daemon: Daemon, site: str) -> dict[str, dict[str, Any]]:
    """Return what ``list --json`` says of the jobs of ``site``, by name."""
    answer = json.loads(daemon.cli("list", site, "--json", code=(0, 1)).stdout)
    return {job["name"]: job for job in answer["jobs"]}


def job(daemon: Daemon, site: str, name: str, limit: float = 30.0, **wanted: object) -> dict[str, Any]:
    """Return what is known of a job as soon as it is as ``wanted``; a callable is asked."""
    seen: list[dict[str, Any]] = [{}]

    def there() -> bool:
        seen[0] = jobs(daemon, site).get(name, {})
        return bool(seen[0]) and all(_fits(seen[0].get(key), value) for key, value in wanted.items())

    try:
        eventually(there, f"{name} is {wanted}", limit)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen[0]}\n{daemon.log(site)}\n{daemon.said()}") from error
    return seen[0]


def attention(daemon: Daemon, site: str) -> str:
    """Return what ``status --json`` says of jobs of ``site`` that need attention."""
    return "\n".join(daemon.site(site)["attention"])


def _fits(value: object, wanted: object) -> bool:
    return bool(wanted(value)) if callable(wanted) else value == wanted
