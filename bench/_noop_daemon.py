"""The daemon with a Slack channel that does nothing: what is left is the queue, from claim to stored ack.

    ARRIVALS=FILE [PROFILE=FILE] .venv/bin/python bench/_noop_daemon.py

Settings come from the environment, as always. Everything but the channel is the daemon's own: claim, dispatch, config
parsing, fence, log rows, log lines, metrics. With PROFILE the event loop's thread is profiled by cProfile.
"""

import cProfile
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _arrivals import Arrivals
from pggit_alertd import channels, logs
from pggit_alertd.cli.reporting import load_settings
from pggit_alertd.daemon import serve
from pggit_alertd.model import Delivered, Notification, Receipt


class NoopChannel:
    """Takes every message and notes when."""

    name = "slack"
    keys = ()

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._arrivals = Arrivals(Path(os.environ["ARRIVALS"]))

    def parse(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the config as it is."""
        return config

    def render(self, notification: Notification, _: Mapping[str, Any]) -> Notification:
        """Return the notification as it is."""
        return notification

    async def send(self, _: Mapping[str, Any], message: Notification) -> Receipt:
        """Note the time."""
        self._arrivals.note(message.alert.alert_id or 0)
        return Delivered()

    async def probe(self, _: Mapping[str, Any]) -> Receipt:
        """Say that all is well."""
        return Delivered()

    async def aclose(self) -> None:
        """Have nothing to close."""


def main() -> int:
    """Run the daemon as `pggit-alertd run` does."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format, secrets=settings.secret_values())
    build = channels.build
    channels.build = lambda options: {**build(options), "slack": NoopChannel(options.http_deadline)}
    profile = os.environ.get("PROFILE")
    if profile is None:
        return serve(settings)
    with cProfile.Profile() as profiler:
        status = serve(settings)
    profiler.dump_stats(profile)
    return status


if __name__ == "__main__":
    sys.exit(main())
