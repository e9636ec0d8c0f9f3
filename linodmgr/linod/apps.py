"""What Django must know about the app."""

from django.apps import AppConfig


class LinodConfig(AppConfig):
    """The app; its label differs from that of Lino's own app `linod`."""

    name = "linodmgr.linod"
    label = "linodmgr_linod"
    verbose_name = "Scheduled jobs"
