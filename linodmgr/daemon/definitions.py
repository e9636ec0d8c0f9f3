"""A job as a runner tells it → as it is kept."""

from linodmgr.core.told import Definition
from linodmgr.runner_protocol import ToldJob


def definition(told: ToldJob) -> Definition:
    """Return what a runner told of a job, as it is kept."""
    return Definition(
        told.id,
        told.name,
        told.schedule,
        told.interval,
        told.at,
        told.next_run,
        told.last_run,
        told.enabled,
        told.why or "",
        told.text,
        told.durable,
    )
