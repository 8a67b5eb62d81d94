"""The daemon: run it, and ask a running one how it is."""

import json
import os
import signal
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from pggit_alertd.cli.reporting import AsJson, ExitStatus, answer, answering, complain, load_settings, say

BODY_LIMIT = 65_536


def run() -> None:
    """Run the daemon.

    SIGTERM, SIGINT or SIGHUP ends it in order, a second one at once. A database that is down or not migrated yet is
    waited for.
    """
    _leave_when_told()

    from pggit_alertd import logs

    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format, secrets=settings.secret_values())

    from pggit_alertd.daemon import serve

    raise typer.Exit(serve(settings))


def _leave_when_told() -> None:
    """End well on a signal that comes before the daemon handles it itself: nothing has begun that could be left behind.

    Most of the start is imports. The kernel keeps from a container's first process what it has no handler for, so
    without one a pod that is deleted while it starts would work on until it is killed in the middle of a delivery.
    As later, only SIGHUP stays ignored where it was: nohup means it, a script that starts this beside itself does not.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(0))


def healthcheck(
    url: Annotated[
        str | None, typer.Option(help="Ask here instead of where the settings say, like http://127.0.0.1:8580.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask whether its loops turn (/livez), not whether work gets done (/readyz).")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1, max=60)] = 4.0,
    as_json: AsJson = False,
) -> None:
    """Ask a running daemon how it is.

    For containers: quick, and without a database. Where to ask is what PGGIT_ALERTD_HTTP_HOST and _PORT say.
    """
    with answering(as_json=as_json):
        host, port, path = _target(url, "/livez" if live else "/readyz")
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"
    try:
        status, content = _ask(host, port, path, timeout)
    except (OSError, ValueError) as error:
        why = (
            (isinstance(error, TimeoutError) and f"no answer within {timeout:g} s")
            or str(error)
            or type(error).__name__
        )
        if as_json:
            answer({"ok": False, "url": where, "status": None, "reasons": [why]})
        else:
            complain(
                f"{where} can't be reached: {why}. See that the daemon runs, and that PGGIT_ALERTD_HTTP_HOST and "
                "PGGIT_ALERTD_HTTP_PORT here are those it was started with."
            )
        raise typer.Exit(ExitStatus.UNAVAILABLE) from None
    ok = status == 200  # noqa: PLR2004 - OK
    reasons = [str(each) for each in content.get("reasons") or ()] if isinstance(content, dict) else []
    if as_json:
        answer({"ok": ok, "url": where, "status": status, "reasons": reasons})
    elif ok:
        say("live" if live else "ready")
    else:
        complain(f"{where} answers {status}: {'; '.join(reasons) or 'it gives no reason'}")
    raise typer.Exit(ExitStatus.OK if ok else ExitStatus.FAILED)


def _target(url: str | None, page: str) -> tuple[str, int, str]:
    """Return host, port and path to ask. Raises SettingsError, or BadParameter for a URL that is none."""
    if url is None:
        from pggit_alertd.settings.address import web_address

        return (*web_address(), page)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme != "http" or not url.isascii() or not url.isprintable() or " " in url:
        raise typer.BadParameter("write http://host:port, like http://127.0.0.1:8580", param_hint="--url")
    return host, port or 80, parts.path if parts.path not in {"", "/"} else page


def _ask(host: str, port: int, path: str, timeout: float) -> tuple[int, Any]:
    """Return the status and the JSON of the answer, if it is any. Raises OSError, or ValueError for no HTTP."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(BODY_LIMIT)
    except HTTPException as error:
        raise ValueError(f"what answers there speaks no HTTP ({type(error).__name__})") from None
    finally:
        connection.close()
    try:
        return response.status, json.loads(body)
    except (ValueError, RecursionError):
        return response.status, None
