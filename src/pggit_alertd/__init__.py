"""The alerting daemon that lives on PostgreSQL: see README.md for what it does."""

from importlib.metadata import version

__version__ = version("pggit-alertd")
