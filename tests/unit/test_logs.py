"""The log: its form, and canaries that must never be seen in it."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from pggit_alertd import logs

CANARIES = {
    "password": "canary-pw-7c1f",
    "webhook": "https://hooks.slack.com/services/T0CANARY/B0CANARY/canaryXYZ",
    "key": "cafe0123456789abcdef0123456789ab",
    "dsn": "postgresql://alertd:canary-pw-7c1f@db/app",
    "smtp": "smtp://mailer:canary-smtp-55@mx:587?tls=starttls",
}
SEEDS = ("canary", "CANARY", CANARIES["key"])


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines written, as objects."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def clean(text: str) -> bool:
    """Return whether no canary is in the text."""
    return not any(seed in text for seed in SEEDS)


def test_a_line_is_one_json_object() -> None:
    """Time in UTC, level, event and logger stand first; values keep their types and text its letters."""
    stream = io.StringIO()
    log = logs.get("dispatcher")
    logs.configure("INFO", "json", stream)
    log.info("delivered", alert_id=7, seconds=0.25, ok=True, nothing=None, recipient="größe\n2")
    row = lines(stream)[0]
    assert list(row)[:4] == ["ts", "level", "event", "logger"]
    assert row.pop("ts").endswith("Z")
    assert row == {
        "level": "info", "event": "delivered", "logger": "dispatcher", "alert_id": 7, "seconds": 0.25, "ok": True,
        "nothing": None, "recipient": "größe\n2",
    }  # fmt: skip
    assert "größe" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_the_head_can_not_be_forged() -> None:
    """A value named like one of the head's keys stands beside it, not in its place."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    logs.get("real").info("x", ts="t", level="l", logger="fake")
    row = lines(stream)[0]
    assert (row["level"], row["logger"], row["logger_"], row["level_"], row["ts_"]) == (
        "info",
        "real",
        "fake",
        "l",
        "t",
    )


def test_levels_filter() -> None:
    """Below the level nothing is written, for our loggers and for libraries; those speak from WARNING up."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    logs.get("a").debug("no")
    logs.get("a").warning("yes")
    logging.getLogger("uvicorn.error").info("no")
    logging.getLogger("uvicorn.error").warning("yes %s", 1)
    assert [(row["logger"], row["event"], row["level"]) for row in lines(stream)] == [
        ("a", "yes", "warning"),
        ("uvicorn.error", "yes 1", "warning"),
    ]


def test_the_last_configure_wins_also_for_loggers_in_use() -> None:
    """A logger made at import follows every later configure."""
    log = logs.get("a")
    first, second = io.StringIO(), io.StringIO()
    logs.configure("INFO", "json", first)
    log.info("one")
    logs.configure("DEBUG", "console", second)
    log.debug("two", n=1)
    logging.getLogger("lib").warning("three")
    assert len(lines(first)) == 1
    assert "DEBUG" not in second.getvalue()
    assert [line.split(maxsplit=1)[1] for line in second.getvalue().splitlines()] == [
        "debug    two n=1 (a)",
        "warning  three (lib)",
    ]


def test_the_context_is_on_every_line() -> None:
    """What is bound around a piece of work stands on its lines, and only there."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    with logs.bound_contextvars(queue_id=5, token="canary"):
        logs.get("a").info("in")
    logs.get("a").info("out")
    assert [row.get("queue_id") for row in lines(stream)] == [5, None]
    assert lines(stream)[0]["token"] == "***"


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_no_secret_gets_into_a_line(fmt: str) -> None:
    """Keys, values, nested values, bytes, event text, exceptions with causes and notes: nothing shows a secret."""
    stream = io.StringIO()
    logs.configure("DEBUG", fmt, stream, secrets=["canary-pw-7c1f", "canary-smtp-55"])
    log = logs.get("a")
    for name, secret in CANARIES.items():
        log.info(f"event with {secret}", **{name: secret, "other": secret, "nested": {"deep": [{"x": secret}]}})  # noqa: G004
        log.info("bytes", raw=secret.encode(), both=(secret, {secret}), **{secret: 1})
        log.info("text", said=f"reply was {secret}, closing", json=json.dumps({"config": {"url": secret}}))
        logging.getLogger("psycopg").warning("failed for %s", secret)
        logging.getLogger("aiohttp").error("failed", extra={"x": secret})
        warnings.showwarning(f"about {secret}", UserWarning, "f", 1)
        try:
            try:
                raise OSError(f"connect to {secret} failed")  # noqa: TRY301
            except OSError as cause:
                problem = ExceptionGroup(f"outer {secret}", [ValueError(secret)])
                problem.add_note(f"note {secret}")
                raise problem from cause
        except ExceptionGroup as error:
            log.exception("broken", error=error)
            log.warning("broken", exc_info=error)
            logging.getLogger("asyncio").exception("task failed")
    text = stream.getvalue()
    assert [line for line in text.splitlines() if not clean(line)] == []
    assert text.count("Traceback" if fmt == "json" else "ExceptionGroup") >= 5


def test_known_passwords_are_masked_without_any_shape() -> None:
    """A password of the settings is masked even where nothing around it tells what it is."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream, secrets=["canary-pw-7c1f"])
    logs.get("a").info("said canary-pw-7c1f", words="the canary-pw-7c1f here")
    assert clean(stream.getvalue())


async def test_a_failed_task_is_told_and_masked() -> None:
    """What asyncio reports about a task nobody waited for goes the same way."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "lost task", "exception": OSError(f"to {CANARIES['dsn']}")})
    (row,) = lines(stream)
    assert (row["logger"], row["level"]) == ("asyncio", "error")
    assert "OSError: to postgresql://alertd:***@db/app" in row["exception"]


def test_a_crash_leaves_a_masked_line() -> None:
    """An exception that nothing caught ends the process with a JSON line, not with a bare traceback."""
    program = (
        "from pggit_alertd import logs\n"
        "logs.configure('INFO', 'json')\n"
        f"raise OSError('connect to {CANARIES['dsn']}')\n"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    row = json.loads(done.stderr)
    assert (row["event"], row["level"]) == ("crashed", "critical")
    assert "OSError: connect to postgresql://alertd:***@db/app" in row["exception"]
    assert clean(done.stderr)


def test_the_console_can_not_be_taken_over() -> None:
    """Control characters and line breaks from outside reach a terminal only as visible text."""
    stream = io.StringIO()
    logs.configure("INFO", "console", stream)
    logs.get("a").info("x\x1b[2J\ny", value="a\x9bb\r\nforged", name="z\x07")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert not set(text) & {"\x1b", "\x9b", "\r", "\x07"}


def test_a_closed_stream_costs_the_line_and_nothing_else() -> None:
    """When nobody reads the log any more deliveries go on, and the lost lines are counted."""
    stream = io.StringIO()
    output = logs.configure("INFO", "json", stream)
    stream.close()
    logs.get("a").info("x")
    logging.getLogger("lib").warning("y")
    assert output.lost == 2


def test_a_narrow_terminal_gets_escapes() -> None:
    """A stream that can't encode a letter gets the line with the letter escaped."""
    raw = io.BytesIO()
    logs.configure("INFO", "console", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    logs.get("a").info("größe")
    assert b"gr\\xf6\\xdfe" in raw.getvalue()


def test_a_record_whose_arguments_do_not_fit_is_still_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's broken log call is shown as it is, masked."""
    stream = io.StringIO()
    logs.configure("INFO", "json", stream)
    root = logging.getLogger()
    ours = [handler for handler in root.handlers if isinstance(handler, logs._Bridge)]
    monkeypatch.setattr(root, "handlers", ours)  # pytest's own handler raises on such a record
    logging.getLogger("lib").warning("%d of", "password=canary")
    (row,) = lines(stream)
    assert row["event"].startswith("%d of")
    assert clean(row["event"])
