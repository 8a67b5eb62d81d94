"""Where the daemon of this environment answers, read without the rest of the settings.

A container's health check starts a process every ten seconds. The whole model costs it 0.3 s of CPU each time,
these two variables cost nothing; and a mistake in some other variable must not hide that the running daemon is well.
"""

import os
from collections.abc import Mapping

from pggit_alertd.errors import SettingsError
from pggit_alertd.settings.sources import gather, variable

# The defaults of Settings.http_host and Settings.http_port; a test holds them together.
HOST = "127.0.0.1"
PORT = "8580"
HIGHEST_PORT = 65_535
# What a daemon that listens everywhere answers at, seen from its own machine.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def web_address(environ: Mapping[str, str] | None = None) -> tuple[str, int]:
    """Return host and port to ask. Raises SettingsError naming the variable that doesn't tell."""
    found = gather(("http_host", "http_port"), os.environ if environ is None else environ)
    problems = [text for _, text in found.problems]
    host = found.values.get("http_host", HOST).strip().removeprefix("[").removesuffix("]")
    port = found.values.get("http_port", PORT).strip()
    if not (port.isascii() and port.isdigit() and int(port[:6]) <= HIGHEST_PORT):
        problems.append(f"{variable('http_port')}: is not a port; write a whole number from 1 to {HIGHEST_PORT}")
    elif int(port) == 0:
        problems.append(
            f"{variable('http_port')}: is 0, so only the daemon's log tells the port; name it: healthcheck --url http://…"
        )
    if problems:
        raise SettingsError("\n".join(problems))
    return _EVERYWHERE.get(host, host), int(port)
