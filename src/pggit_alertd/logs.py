"""The log: one line per event, JSON for machines or text for people, with every secret masked before it is written.

Redaction is not left to the caller: whatever goes into a line (keys, nested values, bytes, an exception's text and its
whole traceback, what libraries say through the standard library's logging) passes the same `Redactor`. This is the
only module that calls structlog.configure; others call `get`, or `Lines` for what is written for every notification.
"""

import asyncio
import json
import logging
import sys
import time
import traceback
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from pggit_alertd.lean import hidden
from pggit_alertd.redaction import Redactor

with hidden("rich"):
    import structlog
    from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars, merge_contextvars

__all__ = ["Lines", "bind_contextvars", "bound_contextvars", "configure", "get"]

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
# What keeps the keys of every line where a reader's eye expects them; values under these names are ours.
_HEAD = ("ts", "level", "logger")
_TAKEN = (*_HEAD, "event", "exc_info", "exception")
# Control characters are how a log line takes over a terminal or forges a second line.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code not in {0x09, 0x0A}}

_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=True, default=str).encode


# Texts whose finished form is kept: recipients, channels and reasons are few. What is longer seldom comes twice.
KEPT_TEXTS = 1024
KEPT_LENGTH = 256
# Lines that may wait for the end of a turn of the event loop, to be written at once.
HELD_LINES = 64


class Output:
    """Where finished lines go. A stream that is closed or full costs lines, never a delivery: they are counted."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost = 0
        self._held: list[str] = []

    def msg(self, line: str) -> None:
        """Write one line, after those that are held."""
        self.release()
        self._write([line])

    def hold(self, line: str) -> None:
        """Write one line, with what else comes in this turn of the event loop: a write costs as much as a line."""
        if not self._held:
            try:
                asyncio.get_running_loop().call_soon(self.release)
            except RuntimeError:
                self._write([line])
                return
        self._held.append(line)
        if len(self._held) >= HELD_LINES:
            self.release()

    def release(self) -> None:
        """Write what is held."""
        if self._held:
            held, self._held = self._held, []
            self._write(held)

    def _write(self, lines: Sequence[str]) -> None:
        text = "\n".join(lines) + "\n"
        try:
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                self.stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
            self.stream.flush()
        except (OSError, ValueError):
            self.lost += len(lines)

    log = debug = info = warning = warn = error = err = critical = fatal = exception = failure = msg


class Formatter:
    """Turns an event into a line: exception to text, redaction, then JSON or columns."""

    def __init__(self, fmt: str, redactor: Redactor) -> None:
        self.redactor = redactor
        self.console = fmt == "console"
        self._second = -1
        self._stamp = ""
        self._texts: dict[str, str] = {}

    def line(self, event: MutableMapping[str, Any], level: str) -> str:
        """Return the finished line for one event."""
        thrown = event.pop("exc_info", None)
        logger = event.pop("_logger", "")
        for key in _HEAD:
            if key in event:
                event[f"{key}_"] = event.pop(key)
        shown = self.redactor.event(event)
        row = {"ts": self._now(), "level": level, "event": shown.pop("event", ""), "logger": logger, **shown}
        if thrown:
            told = _exception_text(thrown)
            if told:
                row["exception"] = self.redactor.text(told)
        return self._columns(row) if self.console else _encode(row)

    @property
    def kept_texts(self) -> int:
        """How many texts are kept in their finished form."""
        return len(self._texts)

    def known(self, parts: tuple[str, ...], level: str, values: Sequence[Any]) -> str:
        """Return the finished JSON line of a kind whose names are judged and written already; see `Lines`."""
        row = [f'{{"ts": "{self._now()}", "level": "{level}"']
        texts = self._texts
        for part, value in zip(parts, values, strict=True):
            row.append(part)
            kind = type(value)
            if kind is str:
                row.append(texts.get(value) or self._text(value))
            elif value is None:
                row.append("null")
            elif kind is int:
                row.append(str(value))
            else:
                row.append(_encode(self.redactor.value(value)))
        row.append("}")
        return "".join(row)

    def _text(self, value: str) -> str:
        """Return a text as JSON, masked."""
        shown = _encode(self.redactor.text(value))
        if len(value) <= KEPT_LENGTH:
            if len(self._texts) >= KEPT_TEXTS:
                self._texts.clear()
            self._texts[value] = shown
        return shown

    def _now(self) -> str:
        """Return the time as 2024-01-31T23:59:59.123456Z; the part that lasts a second is made once a second."""
        seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second:
            self._second, self._stamp = seconds, datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._stamp}.{nanos // 1000:06d}Z"

    @staticmethod
    def _columns(row: dict[str, Any]) -> str:
        head = f"{row.pop('ts')[11:23]} {row.pop('level'):<8} {row.pop('event')}"
        logger = row.pop("logger")
        thrown = row.pop("exception", None)
        pairs = "".join(f" {key}={value if isinstance(value, int) else _encode(value)}" for key, value in row.items())
        first = f"{head}{pairs} ({logger})".replace("\n", "\\n")
        return f"{first}\n{thrown.rstrip()}".translate(_CONTROLS) if thrown else first.translate(_CONTROLS)


def _exception_text(thrown: Any) -> str:
    """Return the traceback of exc_info in any of the forms the logging world uses."""
    if thrown is True:
        thrown = sys.exc_info()
    if isinstance(thrown, BaseException):
        error: BaseException | None = thrown
    else:
        error = thrown[1] if isinstance(thrown, tuple) else None
    return "".join(traceback.format_exception(error)) if error is not None else ""


class _Bridge(logging.Handler):
    """Takes what libraries log (uvicorn, psycopg, asyncio, warnings) through the same formatter and output."""

    def __init__(self, formatter: Formatter, output: Output) -> None:
        super().__init__()
        self._lines = formatter
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line; a record whose arguments don't fit its text is shown as it is."""
        try:
            what = record.getMessage()
        except (TypeError, ValueError, KeyError):
            what = f"{record.msg} {record.args}"
        event: dict[str, Any] = {"event": what, "_logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        self._output.msg(self._lines.line(event, record.levelname.lower()))


@dataclass(frozen=True, slots=True)
class _Setup:
    """What the last `configure` has set up."""

    formatter: Formatter
    output: Output
    threshold: int


_setup: _Setup | None = None


class Lines:
    """Lines of one kind, with the same names in each: what is written for every notification, at a sixth of the cost.

    The line and its redaction are those of any other line. But names are judged when the kind is declared (those whose
    values are to be hidden are refused), texts once for each different one, and lines of one turn of the event loop are
    written together. Text for people and lines with a context go the usual way.
    """

    def __init__(self, logger: str, event: str, names: Sequence[str]) -> None:
        sample = dict.fromkeys(names, "x")
        if Redactor().event(sample) != sample or not sample.keys().isdisjoint(
            (*_HEAD, "event", "exc_info", "exception")
        ):
            raise ValueError(f"a line can't have all of these names: {', '.join(names)}")
        self._log = get(logger)
        self._event = event
        self._names = tuple(names)
        head = f', "event": {_encode(event)}, "logger": {_encode(logger)}'
        self._parts = tuple(f"{'' if at else head}, {_encode(name)}: " for at, name in enumerate(names))

    def info(self, *values: Any) -> None:
        """Write a line, one value for each name."""
        self._tell("info", values)

    def warning(self, *values: Any) -> None:
        """Write a line at WARNING."""
        self._tell("warning", values)

    def _tell(self, level: str, values: Sequence[Any]) -> None:
        setup = _setup
        if setup is None or setup.formatter.console or get_contextvars():
            getattr(self._log, level)(self._event, **dict(zip(self._names, values, strict=True)))
        elif setup.threshold <= LEVELS[level.upper()]:
            setup.output.hold(setup.formatter.known(self._parts, level, values))


def configure(
    level: str = "INFO", fmt: str = "json", stream: TextIO | None = None, secrets: Iterable[str] = ()
) -> Output:
    """Set up logging for the whole process; may be called again, and the last call wins.

    Lines go to standard error unless told otherwise, so that a command's own output stays clean. `secrets` are values
    to mask wherever they appear. Libraries are heard from WARNING up, or at DEBUG when that is what is asked for.
    """
    global _setup  # noqa: PLW0603 - logging is one for the process, as structlog's own configuration is
    threshold = LEVELS[level.upper()]
    output = Output(sys.stderr if stream is None else stream)
    formatter = Formatter(fmt, Redactor(secrets))
    if _setup is not None:
        _setup.output.release()
    _setup = _Setup(formatter, output, threshold)

    def render(_: Any, name: str, event: MutableMapping[str, Any]) -> str:
        if name == "exception":
            name = "error"
            event.setdefault("exc_info", True)
        return formatter.line(event, "warning" if name == "warn" else name)

    structlog.configure(
        processors=[merge_contextvars, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: output,
        # Loggers made at import must follow a later configure; binding anew costs 2 µs a line.
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    # A plain StreamHandler, such as logging.basicConfig leaves, would write past the redaction.
    for handler in [each for each in root.handlers if type(each) in {_Bridge, logging.StreamHandler}]:
        root.removeHandler(handler)
    root.addHandler(_Bridge(formatter, output))
    root.setLevel(threshold if threshold == logging.DEBUG else max(threshold, logging.WARNING))
    logging.captureWarnings(capture=True)

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        output.msg(formatter.line({"event": "crashed", "_logger": __name__, "exc_info": error}, "critical"))

    sys.excepthook = crashed
    return output


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger under this name; it may be made before `configure` is called."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(_logger=name)
    return logger
