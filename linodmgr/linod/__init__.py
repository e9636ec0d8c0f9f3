"""The Django app that runs scheduled jobs in a plain Django site, see docs/linod.md."""

from linodmgr.linod.jobs import schedule_daily, schedule_often

__all__ = ["schedule_daily", "schedule_often"]
