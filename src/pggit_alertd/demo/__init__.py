"""The whole product on one machine: a PostgreSQL of its own, the daemon as a service, and receivers on loopback.

Nothing leaves the machine and nothing is left behind: the database lives in a temporary folder, and mail, Slack and
PagerDuty are sinks that show what they got.
"""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import psycopg
from rich.console import Console

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer, die_with_parent
from pggit_alertd.demo.journey import Journey, Ledger, Outage, Progress, progress, summary
from pggit_alertd.demo.sinks import Answer, HttpSink, SmtpSink
from pggit_alertd.demo.workload import operations, record, record_together, seed_history, slow
from pggit_alertd.errors import DatabaseError

DATABASE = "pggit"
SEED = 7
PACE_SECONDS = 0.04
SPIKE_EVERY = 15
OUTAGE_FROM, OUTAGE_SECONDS = 0.4, 2.0
BURST_FROM, BURST = 0.75, 12
ROUND_SECONDS = 60.0
"""With --stay, the outage and the burst come again this often."""
READY_SECONDS = 20.0
SETTLE_SECONDS = 30.0
STOP_SECONDS = 30.0

SETTINGS = """
INSERT INTO pggit.alert_notification_settings
    (alert_type, severity, notification_channel, enabled, config, name)
VALUES
    ('*', '*', 'slack', TRUE,
     jsonb_build_object('webhook', %(slack)s::text, 'channel', '#pggit-alerts'), 'team'),
    ('THRESHOLD_EXCEEDED', 'CRITICAL', 'pagerduty', TRUE,
     jsonb_build_object('service_key', repeat('d', 32)), 'on-call'),
    ('THRESHOLD_EXCEEDED', 'CRITICAL', 'email', TRUE,
     '{"to": ["oncall@example.com"], "cc": ["team@example.com"]}', 'mail')
"""

_RAISED = "SELECT alert_id FROM pggit.performance_alerts WHERE alert_id > %s AND alert_type = 'THRESHOLD_EXCEEDED'"


def run(*, duration: float, as_json: bool, stay: bool, keep: Path | None) -> int:
    """Run the demo for `duration` seconds of work, or until Ctrl-C with `stay`; return 0 if nothing was lost.

    With `as_json` the last line on standard output is one JSON object and everything else goes to standard error.
    `keep` is a folder in which the database and the daemon's log are left; an earlier demo's database there is used
    again, and only what is new is counted. Raises DatabaseError if it can't start.
    """
    if keep is not None:
        keep = keep.absolute()
        _refuse_foreign(keep)
    console = Console(file=sys.stderr if as_json else sys.stdout, highlight=False, soft_wrap=True)
    try:
        demo = _Demo(console, keep)
        result = asyncio.run(demo.run(duration, stay=stay))
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    delivered = result["delivered"]
    # Who stops it early has not seen every channel yet, and nothing is wrong with that.
    reached = demo.interrupted or (isinstance(delivered, dict) and all(delivered.values()))
    return 0 if result["lost"] == 0 and reached else 1


@dataclass(frozen=True, slots=True)
class _Stage:
    """What is running while the demo plays."""

    server: EmbeddedServer
    http: HttpSink
    mail: SmtpSink
    connection: psycopg.Connection
    log: Path
    page: str
    after: int
    """The highest alert_id of earlier demos in a folder that was kept."""

    def progress(self) -> Progress:
        """Return how far this demo's alerts came."""
        return progress(self.connection, self.after)


class _Demo:
    def __init__(self, console: Console, keep: Path | None) -> None:
        self._console = console
        self._keep = keep
        self._ledger = Ledger()
        self._shown: set[int] = set()
        self._how_long = ""
        self._stop = asyncio.Event()

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped it."""
        return self._stop.is_set()

    async def run(self, duration: float, *, stay: bool) -> dict[str, object]:
        """Set the stage, play, and return the closing figures."""
        self._how_long = "until Ctrl-C" if stay else "(while this runs; make demo ARGS=--stay keeps it open)"
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        async with self._stage() as stage:
            self._explain(stage)
            await self._play(stage, None if stay else duration)
            result = summary(await self._settle(stage), self._ledger)
            self._close(result)
            return result

    @asynccontextmanager
    async def _stage(self) -> AsyncIterator[_Stage]:
        """Start PostgreSQL, the sinks and the daemon; stop them in reverse."""
        self._say("1/4", "starting a PostgreSQL of its own (unix socket only, temporary folder)")
        directory = self._keep or Path(tempfile.mkdtemp(prefix="pggit-alertd-"))
        server = EmbeddedServer(directory=directory, keep=self._keep is not None)
        try:
            await asyncio.to_thread(server.start)
            with (
                psycopg.connect(server.dsn(), autocommit=True) as connection,
                suppress(psycopg.errors.DuplicateDatabase),
            ):
                connection.execute(f"CREATE DATABASE {DATABASE}")
            self._say("2/4", "installing pgGit's monitoring tables and ours, and three days of history")
            await migrate.up(server.dsn(DATABASE))
            async with HttpSink() as http, SmtpSink() as mail:
                http.on_accepted = self._ledger.request
                mail.on_mail = self._ledger.mail
                with psycopg.connect(server.dsn(DATABASE), autocommit=True) as connection:
                    baselines = await asyncio.to_thread(seed_history, connection, SEED)
                    connection.execute("DELETE FROM pggit.alert_notification_settings")
                    connection.execute(SETTINGS, {"slack": http.slack_url()})
                    newest = connection.execute("SELECT coalesce(max(alert_id), 0) FROM pggit.performance_alerts")
                    ((after,),) = newest.fetchall()
                    self._say("3/4", f"baselines made: {baselines}; mail, Slack and PagerDuty sinks listen on loopback")
                    async with self._daemon(server, http, mail) as (log, page):
                        self._say("4/4", f"the daemon is ready: {page}/healthz  {page}/metrics")
                        self._say("   ", f"console: {page}/ {self._how_long}")
                        yield _Stage(server, http, mail, connection, log, page, after)
        finally:
            await asyncio.to_thread(server.stop)

    @asynccontextmanager
    async def _daemon(self, server: EmbeddedServer, http: HttpSink, mail: SmtpSink) -> AsyncIterator[tuple[Path, str]]:
        """Run the daemon as a service does: its own process, configured by environment variables."""
        log = server.directory / "pggit-alertd.log"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PGGIT_ALERTD_")},
            "PGGIT_ALERTD_DATABASE_URL": server.url(DATABASE),
            "PGGIT_ALERTD_HTTP_PORT": "0",
            "PGGIT_ALERTD_SMTP_URL": mail.url,
            "PGGIT_ALERTD_EMAIL_FROM": "alerts@pggit.example",
            "PGGIT_ALERTD_PAGERDUTY_URL": http.url,
            "PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS": "true",
            "PGGIT_ALERTD_RETRY_BASE": "1",
        }
        with log.open("w") as output:
            process = _start(environment, output)
            try:
                yield log, await self._ready(process, log)
            finally:
                process.terminate()
                try:
                    await asyncio.to_thread(process.wait, STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    async def _ready(self, process: subprocess.Popen[bytes], log: Path) -> str:
        """Wait until the daemon says it is ready; return the address of its pages."""
        page = ""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            for entry in _entries(log):
                page = entry["address"] if entry.get("event") == "web_listening" else page
                if entry.get("event") == "ready" and page:
                    return page
            await asyncio.sleep(PACE_SECONDS)
        raise DatabaseError(f"The daemon did not become ready; its last words: {list(_entries(log))[-3:]}")

    async def _play(self, stage: _Stage, duration: float | None) -> None:
        """Record work at a steady pace; break Slack for a moment in the middle; show what is delivered."""
        self._console.print()
        started = time.monotonic()
        acts = _acts(duration)
        at, act = next(acts)
        with psycopg.connect(stage.server.dsn(DATABASE), autocommit=True) as writer:
            for operation in operations(SEED, SPIKE_EVERY):
                elapsed = time.monotonic() - started
                if self._stop.is_set() or (duration is not None and elapsed >= duration):
                    return
                if elapsed >= at:
                    await self._act(act, stage, writer)
                    at, act = next(acts)
                committed_at = await asyncio.to_thread(record, writer, operation)
                if operation.spike:
                    await asyncio.to_thread(self._committed, stage, committed_at)
                self._show((await asyncio.to_thread(stage.progress)).journeys)
                await asyncio.sleep(PACE_SECONDS)

    async def _act(self, act: str, stage: _Stage, writer: psycopg.Connection) -> None:
        """Let something happen that is not everyday work."""
        if act == "down":
            self._ledger.outages.append(Outage(time.time()))
            stage.http.always(Answer(503, "upstream down"), "/services/")
            self._note("Slack goes down: its notifications will wait and be tried again; the others go on")
        elif act == "back":
            self._back(stage)
            self._note("Slack is back: what waited is delivered by its retries")
        elif act == "burst":
            self._note(f"{BURST} operations go wrong at once: what is due together travels in one message")
            at = await asyncio.to_thread(record_together, writer, slow(SEED, BURST))
            await asyncio.to_thread(self._committed, stage, at)

    def _back(self, stage: _Stage) -> None:
        """Let Slack take messages, if it did not."""
        stage.http.always(None, "/services/")
        for outage in self._ledger.outages:
            outage.ended = min(outage.ended, time.time())

    async def _settle(self, stage: _Stage) -> Progress:
        """Wait until nothing is on its way any more, and return how far all came."""
        self._back(stage)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            found = await asyncio.to_thread(stage.progress)
            self._show(found.journeys)
            if found.settled or time.monotonic() > deadline:
                return found
            await asyncio.sleep(PACE_SECONDS)

    def _committed(self, stage: _Stage, at: float) -> None:
        """Note the newest alerts that the demo's own work raised as committed now."""
        newest = max(self._ledger.committed, default=stage.after)
        for (alert_id,) in stage.connection.execute(_RAISED, (newest,)):
            self._ledger.committed[alert_id] = at

    def _show(self, found: Sequence[Journey]) -> None:
        """Print one line for each message that has ended since the last look."""
        fresh: dict[int, list[Journey]] = {}
        for each in found:
            if each.finished and each.queue_id not in self._shown:
                self._shown.add(each.queue_id)
                fresh.setdefault(each.message_id, []).append(each)
        for together in fresh.values():
            self._console.print(_line(together, self._ledger), markup=False)

    def _explain(self, stage: _Stage) -> None:
        self._console.print(
            "\nWork is recorded by pggit.record_performance_metric, as applications do. Now and then an operation is "
            "several times\nslower than its baseline: pgGit raises an alert, and each line below is one notification "
            "of one alert.\nThe fourth alert of an operation within an hour is escalated to CRITICAL, which also pages "
            "and mails.\nWhat the scan for anomalies finds, once a minute, goes to Slack too."
            "\nAlerts that are due together travel in one message, a digest."
            "\nTimes: commit → routing began → received → logged; in ms after the commit."
            f"\nThe daemon's own log: {stage.log}",
            markup=False,
        )

    def _close(self, result: Mapping[str, object]) -> None:
        delivered = result["delivered"]
        latency = result["latency_ms"]
        assert isinstance(delivered, dict)  # noqa: S101 - made by summary()
        assert isinstance(latency, dict)  # noqa: S101
        self._console.print(
            f"\n{result['alerts']} alerts; delivered: "
            + ", ".join(f"{count} by {channel}" for channel, count in delivered.items())
            + f"; {result['failed']} failed, {result['lost']} lost, {result['retried']} after a retry, "
            f"{result['escalated']} alerts escalated, {result['digests']} digests.",
            markup=False,
        )
        if latency["p50"] is not None:
            self._console.print(
                "From commit to receiver, first attempts while the receiver was up: "
                f"p50 {latency['p50']} ms, p99 {latency['p99']} ms.",
                markup=False,
            )
        if self._keep is not None:
            self._console.print(f"The database and the daemon's log are kept in {self._keep}.", markup=False)

    def _say(self, step: str, text: str) -> None:
        self._console.print(f"[bold]{step}[/bold] {text}")

    def _note(self, text: str) -> None:
        self._console.print(f"[bold]      ── {text}[/bold]")


def _refuse_foreign(folder: Path) -> None:
    """Raise DatabaseError for a folder that holds anything but an earlier demo: its owner would be changed."""
    if folder.exists() and not folder.is_dir():
        raise DatabaseError(f"{folder} is no folder; name one that is empty, or does not exist yet.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{folder} can't be made: {error.strerror}. Name a folder that can be written.") from error
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "data" / "PG_VERSION").exists():
        raise DatabaseError(
            f"{folder} is not empty and holds no database of an earlier demo; name a folder that is empty, or does not "
            "exist yet. Nothing in it was changed."
        )


def _acts(duration: float | None) -> Iterator[tuple[float, str]]:
    """Yield what happens beside everyday work, and after how many seconds; without a duration again every round."""
    span = duration if duration is not None else ROUND_SECONDS / 2
    outage = span * OUTAGE_FROM
    begin = 0.0
    while True:
        yield begin + outage, "down"
        yield begin + outage + min(OUTAGE_SECONDS, span / 5), "back"
        yield begin + span * BURST_FROM, "burst"
        begin += ROUND_SECONDS if duration is None else math.inf


def _entries(log: Path) -> Iterator[dict[str, Any]]:
    """Yield what the daemon has logged so far, line by line."""
    for line in log.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            yield json.loads(line)


def _start(environment: Mapping[str, str], output: TextIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pggit_alertd", "run"],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - only prctl
    )


def _line(together: Sequence[Journey], ledger: Ledger) -> str:
    """Return a message for the terminal: what it was, where it went, and where its time went."""
    journey = next((each for each in together if ledger.latency(each) is not None), together[0])
    commit = ledger.committed.get(journey.alert_id)
    factor = f"{journey.factor:.1f}x" if journey.factor is not None else ""
    text = (
        f"alert {journey.alert_id:>3}  {journey.severity:<8} {journey.operation:<16} {factor:>6} → {journey.channel:<9}"
    )
    if journey.status == "failed":
        return f"{text} FAILED: {journey.error}"
    received = ledger.latency(journey)
    if commit is None or received is None or journey.processed_at is None:
        kind = "" if journey.alert_type == "THRESHOLD_EXCEEDED" else f" ({journey.alert_type.lower()})"
        return f"{text} {journey.status}{kind}"
    # Routing may begin before the writer has heard that its commit is done.
    routed = max(journey.routed_at.timestamp() - commit, 0.0)
    logged = journey.processed_at.timestamp() - commit
    notes = [f"attempt {journey.attempt}"] if journey.attempt > 1 else []
    notes += ["escalated"] if journey.escalated else []
    notes += [f"digest: the worst of {len(together)} alerts"] if len(together) > 1 else []
    note = f"  ({', '.join(notes)})" if notes else ""
    return f"{text} {routed * 1000:7.1f} → {received * 1000:7.1f} → {logged * 1000:7.1f}{note}"
