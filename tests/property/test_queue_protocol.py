"""The claim protocol under any order of events: a state machine that drives real PostgreSQL against a small model.

Time passes by moving next_attempt_at back, so leases run out without waiting. The model knows only what the contract
says; what the rows must look like after each step is compared column by column.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import AsyncConnection

from pggit_alertd.database.pool import Database
from pggit_alertd.model import Ack, Claim, Outcome, Reason, Verdict
from support.alerts import Alerts
from support.claims import ack, rooms, store

T = TypeVar("T")
WORKERS = ("w1", "w2")
TABLES = "pggit.alert_notification_queue, pggit.alert_notification_log, pggit.alert_destination, pggit.alert_outbox"
STATE = "queue_id, status, claimed_by, claim_no, attempt, lost_count, next_attempt_at = 'infinity'"


@dataclass
class Row:
    """What the contract says about a queue row."""

    status: str = "pending"
    holder: str | None = None
    claim_no: int = 0
    attempt: int = 0
    lost: int = 0
    parked: bool = False

    def columns(self) -> tuple[Any, ...]:
        """Return the row as the database must have it."""
        return self.status, self.holder, self.claim_no, self.attempt, self.lost, self.parked


class QueueProtocol(RuleBasedStateMachine):
    """Two workers, one setting that may be switched off, up to five rows."""

    database: str
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, Row] = {}
        self.claims: list[tuple[str, Claim]] = []
        self.acks: list[tuple[str, Ack]] = []
        self.finished: dict[int, str] = {}
        self.highest: dict[int, int] = {}
        self.enabled = True
        self.ticks = 0

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine on the machine's own loop."""

        async def awaited() -> T:
            return await work()

        return self.runner.run(awaited())

    @initialize(count=st.integers(1, 5))
    def begin(self, count: int) -> None:
        """Start from an empty queue with a few routed alerts."""

        async def prepare() -> None:
            self.connection = await AsyncConnection.connect(self.database, autocommit=True)
            self.alerts = Alerts(self.connection)
            self.pool = Database(self.database, size=1)
            await self.pool.open()
            self.stores = {worker: store(self.pool, worker) for worker in WORKERS}
            await self.alerts.rows(
                f"TRUNCATE {TABLES}, pggit.alert_notification_settings, pggit.performance_alerts CASCADE"
            )
            self.setting = await self.alerts.setting()
            await self.alerts.alert(severity="CRITICAL", count=count)
            await self.alerts.route()
            for (number,) in await self.alerts.queue("queue_id"):
                self.rows[number] = Row()

        self.run(prepare)

    def teardown(self) -> None:
        """Close what begin opened."""

        async def close() -> None:
            await self.pool.close()
            await self.connection.close()

        if self.rows:
            self.run(close)

    @rule(worker=st.sampled_from(WORKERS), slots=st.integers(1, 3), expired=st.booleans())
    def claim(self, worker: str, slots: int, expired: bool) -> None:
        """Claim due rows only, each with the next fence and one more attempt."""
        due = set(
            self.run(
                lambda: self.alerts.column(
                    "SELECT queue_id FROM pggit.alert_notification_queue"
                    " WHERE status = 'pending' AND next_attempt_at <= now() AND (claimed_by IS NULL OR %s)"
                    " AND NOT EXISTS (SELECT FROM pggit.alert_destination WHERE paused_until > now())",
                    expired,
                )
            )
        )
        claimed = self.run(lambda: self.stores[worker].claim(rooms(slots, channels=("slack",)), take_expired=expired))
        assert len(claimed) == min(slots, len(due))
        for claim in claimed:
            assert claim.queue_id in due
            row = self.rows[claim.queue_id]
            row.lost += row.holder is not None
            row.claim_no += 1
            row.attempt += 1
            row.holder = worker
            assert (claim.claim_no, claim.attempt, claim.lost) == (row.claim_no, row.attempt, row.lost)
            assert claim.setting_enabled is self.enabled
            self.claims.append((worker, claim))

    @precondition(lambda self: self.claims)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(Outcome),
        delay=st.sampled_from([0.0, 3600.0]),
        impostor=st.booleans(),
    )
    def acknowledge(self, data: st.DataObject, outcome: Outcome, delay: float, impostor: bool) -> None:
        """Acknowledge, however late and whoever does it: the row changes only while the claim is the live one."""
        worker, claim = data.draw(st.sampled_from(self.claims))
        if impostor:
            worker = next(other for other in WORKERS if other != worker)
        self.ticks += 1
        result = ack(
            claim,
            outcome,
            delay=delay,
            reason=Reason.NONE,
            verdict=Verdict.NOTHING,
            finished_at=claim.claimed_at + timedelta(milliseconds=self.ticks),
        )
        self.send(worker, result)

    @precondition(lambda self: self.acks)
    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        """Send an ack again, because its commit was in doubt: it changes nothing and logs nothing."""
        worker, result = data.draw(st.sampled_from(self.acks))
        before = self.run(lambda: self.alerts.log("log_id"))
        rows = {number: row.columns()[:5] for number, row in self.rows.items()}
        self.send(worker, result, again=True)
        assert self.run(lambda: self.alerts.log("log_id")) == before
        assert rows == {number: row.columns()[:5] for number, row in self.rows.items()}, "HELD may park rows again"

    def send(self, worker: str, result: Ack, *, again: bool = False) -> None:
        """Send an ack and do to the model what the contract says."""
        claim = result.claim
        row = self.rows[claim.queue_id]
        live = row.status == "pending" and row.holder == worker and row.claim_no == claim.claim_no
        assert not (live and again)
        superseded = self.run(lambda: self.stores[worker].acknowledge([result]))
        assert superseded == (not live and not again)
        if live:
            row.holder = None
            row.attempt -= not result.charged
            if result.outcome in {Outcome.SENT, Outcome.FAILED}:
                row.status = result.outcome.value
        if result.outcome is Outcome.HELD:
            self.follow_setting()
        if not again:
            self.acks.append((worker, result))

    def follow_setting(self) -> None:
        """Park what nobody holds while the setting is off, and free it when it is on."""
        for row in self.rows.values():
            if row.status == "pending" and row.holder is None:
                row.parked = not self.enabled

    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        """Let a row's lease or delay be over."""
        number = data.draw(st.sampled_from(sorted(self.rows)))
        self.run(
            lambda: self.alerts.rows(
                "UPDATE pggit.alert_notification_queue SET next_attempt_at = now() - interval '1 second'"
                " WHERE queue_id = %s AND next_attempt_at < 'infinity' AND status = 'pending'",
                number,
            )
        )

    @rule()
    def switch_setting(self) -> None:
        """Disable or enable the setting, as an operator does."""
        self.enabled = not self.enabled
        self.run(lambda: self.alerts.rows("UPDATE pggit.alert_notification_settings SET enabled = %s", self.enabled))
        self.follow_setting()

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), seconds=st.sampled_from([600.0, 3600.0]))
    def pause(self, data: st.DataObject, seconds: float) -> None:
        """Pause the only destination, as a receiver asks: it holds up claims and touches no row."""
        worker, claim = data.draw(st.sampled_from(self.claims))
        self.run(lambda: self.stores[worker].pause(claim, seconds))

    @rule()
    def pause_ends(self) -> None:
        """Let the destination's pause be over."""
        self.run(lambda: self.alerts.rows("UPDATE pggit.alert_destination SET paused_until = now()"))

    @invariant()
    def rows_are_as_the_contract_says(self) -> None:
        """Nothing vanishes, nothing else changes, finished rows stay finished, and fences only grow."""
        if not self.rows:
            return
        found = {row[0]: row[1:] for row in self.run(lambda: self.alerts.queue(STATE))}
        assert found == {number: row.columns() for number, row in self.rows.items()}
        whole = dict(
            self.run(
                lambda: self.alerts.queue("queue_id, q::text".replace("q::text", "alert_notification_queue::text"))
            )
        )
        for number, row in self.rows.items():
            assert row.claim_no >= self.highest.get(number, 0)
            self.highest[number] = row.claim_no
            if row.status != "pending":
                assert self.finished.setdefault(number, whole[number]) == whole[number]

    @invariant()
    def every_ack_has_one_log_row(self) -> None:
        """Find one log row per ack, and one per claim that was lost."""
        if not self.rows:
            return
        logged = self.run(lambda: self.alerts.log("queue_id, claim_no, sent_at, status"))
        acks = [row[:3] for row in logged if row[3] != "lost"]
        assert sorted(acks) == sorted((r.claim.queue_id, r.claim.claim_no, r.finished_at) for _, r in self.acks)
        assert len([row for row in logged if row[3] == "lost"]) == sum(row.lost for row in self.rows.values())


@pytest.mark.timeout(120)
def test_the_protocol_holds_under_any_order_of_events(database: str) -> None:
    """No sequence of claims, acks, lost leases, resent acks, pauses and switches breaks the contract."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SELECT pggit.maintain_log_partitions(0)")
    with asyncio.Runner() as runner:
        machine = type("Machine", (QueueProtocol,), {"database": database, "runner": runner})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
                phases=[Phase.generate],  # shrinking costs minutes here; the printed steps are few enough to read
            ),
        )
