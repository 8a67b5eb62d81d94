"""The pages the program serves: health and metrics, on one port. Each one's meaning is written in `health`."""

from pggit_alertd.web.app import create_app
from pggit_alertd.web.health import HealthSource, Readiness
from pggit_alertd.web.server import Listener, bind, serve

__all__ = ["HealthSource", "Listener", "Readiness", "bind", "create_app", "serve"]
