"""The Django app that runs scheduled jobs in a plain Django site, see README.md beside it."""

from linodmgr.linod.jobs import schedule_daily, schedule_often

__all__ = ["schedule_daily", "schedule_often"]
