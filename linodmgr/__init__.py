"""Run the background tasks of many Lino sites: one daemon, one TOML file."""

__version__ = "0.1.0"
