"""`manage.py linod`: list the site's jobs, then run them."""

from argparse import ArgumentParser
from typing import Any

import schedule
from django.core.management.base import BaseCommand
from django.utils.module_loading import autodiscover_modules

from linodmgr.linod.loop import Loop, hooks
from linodmgr.linod.past import overlay
from linodmgr.site.on_django import uses_linod


class Command(BaseCommand):
    """The texts are those of Lino's command of this name: people and programs know them."""

    help = "Run the scheduled jobs of this site."
    # As for a web server's process: a look at every URL and view would cost time and memory at each start.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option that Lino's command has, too."""
        parser.add_argument(
            "--list", "-l", action="store_true", dest="list_jobs", help="Just list the jobs, don't run them."
        )

    def handle(self, *_args: Any, list_jobs: bool = False, **_options: Any) -> None:
        """List the jobs; run them unless told not to. Whatever a `jobs` module raises goes through."""
        if not uses_linod():
            self.stdout.write("This site does not use linod.")
            return
        autodiscover_modules("jobs")
        jobs = schedule.get_jobs()
        if not jobs:
            self.stdout.write("This site has no scheduled jobs.")
            return
        if list_jobs:
            overlay(jobs)
        self.stdout.write(f"{len(jobs)} scheduled jobs:")
        for number, job in enumerate(jobs, 1):
            self.stdout.write(f"[{number}] {job!r}")
        if list_jobs:
            return
        self.stdout.flush()
        Loop(hooks()).run()
