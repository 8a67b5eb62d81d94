"""The pages the program serves: health, metrics and the operator's console, on one port.

What each health page means is written in `health`.
"""

from pggit_alertd.web.app import create_app
from pggit_alertd.web.console import Console, Reader
from pggit_alertd.web.health import HealthSource, Readiness
from pggit_alertd.web.server import Listener, bind, serve

__all__ = ["Console", "HealthSource", "Listener", "Reader", "Readiness", "bind", "create_app", "serve"]
