"""What an operator can set, read from the environment once and then frozen. Only this package reads the environment.

The names are imported when they are first asked for: the model costs 0.3 s, and `pggit-alertd healthcheck`, which needs
two variables, starts every ten seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pggit_alertd.settings.model import Effective, Settings
    from pggit_alertd.settings.reference import settings_reference

__all__ = ["Effective", "Settings", "settings_reference"]

_HOMES = {"Effective": "model", "Settings": "model", "settings_reference": "reference"}


def __getattr__(name: str) -> Any:
    """Import a name from the module that has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
