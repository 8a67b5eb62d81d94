"""The real daemon as a process, and the stage it plays on: a database, the sinks, and settings that point at them.

What a test waits for is an event of the daemon's JSON log, an arrival at a sink, or a state of the database; each
wait has a deadline, and a wait that fails says what was there instead.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
from psycopg.conninfo import conninfo_to_dict

from pggit_alertd.demo.sinks import HttpSink, SmtpSink
from support.alerts import Alerts

PATIENCE = 30.0
LOOK_SECONDS = 0.02
TAIL = 30
LINE_LIMIT = 2**22
ROUTING_KEY = "d" * 32
MAIL = {"to": ["oncall@example.com"], "cc": ["team@example.com"]}
PAGER = {"service_key": ROUTING_KEY}

Event = dict[str, Any]


class Daemon:
    """One `pggit-alertd run`. `events` is its log so far, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[Event] = []
        self._grown = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(process))
        self._client = httpx.AsyncClient(trust_env=False, timeout=10.0)

    @classmethod
    async def start(cls, environment: Mapping[str, str]) -> Self:
        """Start it with these settings (full variable names) and no others."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PGGIT_ALERTD_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pggit_alertd",
            "run",
            env={**inherited, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
        )
        return cls(process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what a test has left running."""
        self.kill()
        await self.process.wait()
        await self._reader
        await self._client.aclose()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace")
            try:
                event = json.loads(text)
            except ValueError:
                event = {"event": "(text)", "text": text.rstrip()}
            async with self._grown:
                self.events.append(event)
                self._grown.notify_all()
        async with self._grown:
            self._grown.notify_all()

    def seen(self, name: str, **fields: object) -> list[Event]:
        """Return the events of this name so far whose fields are as given."""
        return [
            event
            for event in self.events
            if event.get("event") == name and all(event.get(key) == value for key, value in fields.items())
        ]

    async def wait_for_event(self, name: str, *, count: int = 1, within: float = PATIENCE, **fields: object) -> Event:
        """Return the `count`th event of this name with these fields, as soon as it is logged."""
        try:
            async with asyncio.timeout(within), self._grown:
                await self._grown.wait_for(lambda: len(self.seen(name, **fields)) >= count or self._reader.done())
        except TimeoutError:
            raise AssertionError(
                f"no {name} {fields} x{count} within {within:g} s; the log ends:\n{self.tail()}"
            ) from None
        found = self.seen(name, **fields)
        assert len(found) >= count, f"the daemon ended without {name} {fields}; its log ends:\n{self.tail()}"
        return found[count - 1]

    async def ready(self, within: float = PATIENCE) -> Self:
        """Return once it has been round once and hears NOTIFY or knows that it doesn't."""
        await self.wait_for_event("ready", within=within)
        await self.wait_for_event("listener_mode", within=within)
        return self

    async def url(self) -> str:
        """Return where its pages are."""
        return str((await self.wait_for_event("web_listening"))["address"])

    async def page(self, path: str) -> httpx.Response:
        """Ask for a page."""
        return await self._client.get(await self.url() + path)

    async def until_page(self, path: str, status: int, within: float = PATIENCE) -> httpx.Response:
        """Return the page's answer once it has this status."""
        reply = await self.page(path)
        try:
            async with asyncio.timeout(within):
                while reply.status_code != status:
                    await asyncio.sleep(LOOK_SECONDS * 5)
                    reply = await self.page(path)
        except TimeoutError:
            raise AssertionError(f"{path} still answers {reply.status_code}: {reply.text}\n{self.tail()}") from None
        return reply

    async def metric(self, series: str) -> float:
        """Return the value of one series of /metrics."""
        for line in (await self.page("/metrics")).text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        raise AssertionError(f"/metrics has no {series}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def kill(self) -> None:
        """Let it die at once, as by `kill -9`."""
        self.signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to stop in order."""
        self.signal(signal.SIGTERM)

    async def ended(self, within: float = PATIENCE) -> int:
        """Return the exit status once the process is gone and its log is read to the end."""
        try:
            async with asyncio.timeout(within):
                status = await self.process.wait()
                await asyncio.shield(self._reader)
        except TimeoutError:
            raise AssertionError(f"still running after {within:g} s; the log ends:\n{self.tail()}") from None
        return status

    async def stop(self, within: float = PATIENCE) -> int:
        """Stop it in order and return its exit status."""
        self.terminate()
        return await self.ended(within)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process.returncode is None

    def tail(self) -> str:
        """Return the end of the log, for a failed test."""
        return "\n".join(json.dumps(event) for event in self.events[-TAIL:])


@dataclass
class Stage:
    """A migrated database and receivers that behave, until the test says otherwise."""

    dsn: str
    alerts: Alerts
    http: HttpSink
    mail: SmtpSink
    _running: contextlib.AsyncExitStack
    daemons: list[Daemon] = field(default_factory=list)

    def environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        """Return what the daemon is started with; names are in lower case, None leaves one out.

        Each alert is a message of its own unless a test asks for digests.
        """
        chosen = {
            "database_url": as_url(self.dsn),
            "http_port": 0,
            "smtp_url": self.mail.url,
            "email_from": "alerts@pggit.example",
            "pagerduty_url": self.http.url,
            "allow_insecure_destinations": "true",
            "retry_base": 0.05,
            "retry_cap": 1,
            "shutdown_grace": 10,
            "coalesce": "false",
            **settings,
        }
        return {f"PGGIT_ALERTD_{name.upper()}": str(value) for name, value in chosen.items() if value is not None}

    async def spawn(self, *, inherited: Mapping[str, str] | None = None, **settings: Any) -> Daemon:
        """Start a daemon that the stage kills at the end, without waiting for it.

        `settings` are by their names in lower case; `inherited` are variables with other names.
        """
        environment = {**self.environment(settings), **(inherited or {})}
        daemon = await self._running.enter_async_context(await Daemon.start(environment))
        self.daemons.append(daemon)
        return daemon

    async def run(self, **settings: Any) -> Daemon:
        """Start a daemon and return it when it is ready."""
        return await (await self.spawn(**settings)).ready()

    def hook(self, name: str = "XXXXXXXXXXXXXXXXXXXXXXXX") -> dict[str, str]:
        """Return a Slack config; each name is a destination of its own."""
        return {"webhook": self.http.slack_url(name), "channel": f"#{name.lower()[:20]}"}

    async def slack(self, name: str = "XXXXXXXXXXXXXXXXXXXXXXXX", **more: Any) -> int:
        """Insert a Slack setting that points at the sink, and return its id."""
        return await self.alerts.setting("slack", self.hook(name), **more)

    async def email(self, **more: Any) -> int:
        """Insert a mail setting and return its id."""
        return await self.alerts.setting("email", MAIL, **more)

    async def pagerduty(self, **more: Any) -> int:
        """Insert a PagerDuty setting and return its id."""
        return await self.alerts.setting("pagerduty", PAGER, **more)

    async def storm(self, count: int, *, severity: str = "INFO", operation: str = "storm") -> None:
        """Insert `count` alerts, each of another operation so that none is escalated."""
        await self.alerts.rows(
            """
            INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity, user_name,
                actual_duration_microseconds, baseline_p99_microseconds)
            SELECT %s, %s || '-' || n, 'THRESHOLD_EXCEEDED', %s, 'app', 250000, 50000
            FROM generate_series(1, %s) AS n
            """,
            await self.alerts.metric(operation),
            operation,
            severity,
            count,
        )

    def requests(self, path: str = "") -> Counter[str]:
        """Return how often each alert arrived at the HTTP sink, by the words Slack shows or PagerDuty's details.

        PagerDuty's key names the episode, which many alerts share.
        """
        found: Counter[str] = Counter()
        for request in self.http.requests:
            if path in request.path:
                body = request.json()
                details = body.get("payload", {}).get("custom_details", {})
                found[f"event of alert {details['alert_id']}" if "alert_id" in details else str(body.get("text"))] += 1
        return found

    async def statuses(self) -> dict[str, int]:
        """Return how many queue rows are in each status."""
        return dict(await self.alerts.rows("SELECT status, count(*) FROM pggit.alert_notification_queue GROUP BY 1"))

    async def arrived(self, count: int, within: float = PATIENCE) -> None:
        """Return when this many HTTP requests have come in since the start."""
        try:
            await self.http.wait_for(count, within)
        except TimeoutError:
            rows = await self.alerts.queue("status, claimed_by, next_attempt_at, count(*) OVER ()")
            raise AssertionError(f"{self.http.received} requests, not {count}; {rows[:3]}\n{self._tails()}") from None

    def _tails(self) -> str:
        return "\n".join(daemon.tail() for daemon in self.daemons)

    async def reconnect(self) -> None:
        """Look at the database through a new connection, the old one having died with its server."""
        await self.alerts.close()
        self.alerts = await Alerts.connect(self.dsn)

    async def claims(self) -> set[tuple[int, int]]:
        """Return the claims, row and fence, that nobody has acknowledged yet."""
        return {
            (queue_id, claim_no)
            for queue_id, claim_no in await self.alerts.queue("queue_id, claim_no", "claimed_by IS NOT NULL")
        }

    async def logged(self, status: str) -> dict[int, int]:
        """Return how often each queue row is in the log with this status."""
        return dict(
            await self.alerts.rows(
                "SELECT queue_id, count(*) FROM pggit.alert_notification_log WHERE status = %s GROUP BY 1", status
            )
        )

    async def until(self, statement: str, *expected: object, within: float = PATIENCE) -> None:
        """Return when the statement's only row is what is expected."""
        await self.look(lambda rows: rows == [expected], statement, str(expected), within)

    async def look(
        self, is_so: Callable[[list[tuple[Any, ...]]], bool], statement: str, expected: str, within: float = PATIENCE
    ) -> list[tuple[Any, ...]]:
        """Return the statement's rows when they are as wanted, looking again and again until the deadline."""
        seen: list[tuple[Any, ...]] = []
        try:
            async with asyncio.timeout(within):
                while not is_so(seen := await self.alerts.rows(statement)):  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"{statement} gives {seen[:20]}, expected {expected}\n{self._tails()}") from None
        return seen

    async def settled(self, count: int, within: float = PATIENCE) -> None:
        """Return when this many queue rows have ended, none waits and the outbox is empty."""
        await self.until(
            """
            SELECT (SELECT count(*) FROM pggit.alert_outbox),
                count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status <> 'pending')
            FROM pggit.alert_notification_queue
            """,
            0,
            0,
            count,
            within=within,
        )


def as_url(dsn: str) -> str:
    """Return a connection string of the tests' servers, which are reached by unix sockets only, as a URL."""
    part = conninfo_to_dict(dsn)
    return f"postgresql://{part['user']}@/{part['dbname']}?host={part['host']}"


@asynccontextmanager
async def stage(dsn: str) -> AsyncIterator[Stage]:
    """Yield a stage on a migrated database, and kill the daemons that a test leaves."""
    async with HttpSink() as http, SmtpSink() as mail, contextlib.AsyncExitStack() as running:
        found = Stage(dsn, await Alerts.connect(dsn), http, mail, running)
        try:
            yield found
        finally:
            await found.alerts.close()
