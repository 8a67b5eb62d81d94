"""The only writer of outbox, queue and log: route, claim, acknowledge, pause.

Every method is one statement of sql/queries in autocommit. What an ack may change is decided in SQL by the fence
(queue_id, claim_no, worker, claimed_at); docs/design/lease.md goes through the failure cases.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import TupleRow

from pggit_alertd.clock import Clock
from pggit_alertd.database.pool import Database
from pggit_alertd.model import Ack, Alert, Claim, Event, Outcome, Urgency


@dataclass(frozen=True, slots=True)
class Lane:
    """Slots of one kind of work. A full lane never holds up another."""

    channel: str
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Room:
    """What a lane can take now.

    `lease` (seconds) is what the database grants; `trust` (seconds, shorter) is how long after the start of the claim
    a delivery may still begin, by this process's own clock.
    """

    lane: Lane
    slots: int
    lease: float
    trust: float


@dataclass(frozen=True, slots=True)
class Routed:
    """What one call of the router did; `suppressed` counts by reason what nobody is told of."""

    alerts: int
    queued: int
    refused: int
    suppressed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of a channel's work is in one state."""

    channel: str
    status: str
    count: int
    oldest_due_seconds: float


class Store:
    """The queue as this worker sees it.

    `worker` is this process's name in every claim; two processes must never share one.
    """

    def __init__(self, database: Database, worker: str, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._installation = ""
        self.worker = worker

    async def route(self, *, limit: int, horizon_critical: float, horizon: float) -> Routed:
        """Route up to `limit` alert events; horizons are seconds."""
        rows = await self._database.fetch(
            "route", {"limit": limit, "horizon_critical": horizon_critical, "horizon": horizon}
        )
        return Routed(*rows[0][:4])

    async def requeue(self) -> int:
        """Give the router alerts that could not be queued when they were raised; return how many."""
        return int((await self._database.fetch("requeue"))[0][0])

    async def claim(self, rooms: Sequence[Room], *, take_expired: bool) -> list[Claim]:
        """Claim due rows for the free slots of each lane.

        With `take_expired` false, rows whose worker has vanished are left for later: after an outage their workers may
        still be about to acknowledge them.
        """
        if not self._installation:
            self._installation = str((await self._database.fetch("installation"))[0][0])
        started = self._clock.monotonic()
        rows = await self._database.fetch(
            "claim",
            {
                "channels": [room.lane.channel for room in rooms],
                "urgencies": [int(room.lane.urgency) for room in rooms],
                "free": [room.slots for room in rooms],
                "leases": [room.lease for room in rooms],
                "worker": self.worker,
                "take_expired": take_expired,
            },
        )
        trusted_until = {(room.lane.channel, int(room.lane.urgency)): started + room.trust for room in rooms}
        return [_claim(row, started, trusted_until, self._installation) for row in rows]

    async def acknowledge(self, acks: Sequence[Ack]) -> int:
        """Apply results; return how many found their row claimed by somebody else (logged as superseded)."""
        rows = await self._database.fetch("ack", {"worker": self.worker, **_columns(acks)})
        held = {ack.claim.setting_id for ack in acks if ack.outcome is Outcome.HELD}
        if held:
            await self._database.fetch("hold", {"setting_ids": list(held)})
        return len(rows)

    async def pause(self, claim: Claim, seconds: float) -> None:
        """Pause the claim's destination for every replica."""
        if claim.destination_key is not None:
            await self._database.execute(
                "pause_destination",
                {
                    "destination_key": claim.destination_key,
                    "channel": claim.channel,
                    "recipient": claim.recipient,
                    "seconds": seconds,
                },
            )

    async def next_due(self, lanes: Sequence[Lane]) -> float | None:
        """Return seconds until something is due in these lanes (not positive: now), None if nothing waits."""
        rows = await self._database.fetch(
            "next_due",
            {"channels": [lane.channel for lane in lanes], "urgencies": [int(lane.urgency) for lane in lanes]},
        )
        return float(rows[0][0]) if rows else None

    async def beat(self, hostname: str, version: str) -> None:
        """Leave a sign of life."""
        await self._database.execute("worker_beat", {"worker": self.worker, "hostname": hostname, "version": version})

    async def depth(self) -> list[Depth]:
        """Return how much waits and how much has failed, per channel."""
        return [Depth(*row) for row in await self._database.fetch("queue_depth")]

    async def outbox_depth(self) -> int:
        """Return how many alert events wait to be routed."""
        return int((await self._database.fetch("outbox_depth"))[0][0])


def _claim(row: TupleRow, started: float, trusted_until: Mapping[tuple[str, int], float], installation: str) -> Claim:
    """Build a claim from a row of claim.sql, column by column."""
    (
        queue_id,
        claim_no,
        attempt,
        lost,
        taken_over,
        channel,
        urgency,
        event,
        snapshot,
        message,
        occurred_at,
        setting_id,
        setting_found,
        setting_enabled,
        setting_channel,
        config,
        destination_key,
        recipient,
        settled,
        enqueued_at,
        claimed_at,
        give_up_in,
        paused_for,
    ) = row
    return Claim(
        queue_id=queue_id,
        claim_no=claim_no,
        attempt=attempt,
        lost=lost,
        taken_over=taken_over,
        channel=channel,
        urgency=Urgency(urgency),
        event=Event(event),
        alert=Alert.from_snapshot(_snapshot(snapshot), message, occurred_at),
        setting_id=setting_id,
        setting_found=setting_found,
        setting_enabled=setting_enabled,
        setting_channel=setting_channel,
        config=config,
        destination_key=destination_key,
        recipient=recipient,
        settled=frozenset(settled),
        give_up_in=give_up_in,
        paused_for=paused_for or 0.0,
        enqueued_at=enqueued_at,
        claimed_at=claimed_at,
        claimed_monotonic=started,
        trusted_until=trusted_until[channel, urgency],
        installation=installation,
    )


def _snapshot(text: str) -> dict[str, Any]:
    """Return the alert of a row, empty if it can't be read.

    PostgreSQL stores JSON that Python refuses, numbers of 5,000 digits or arrays 3,000 deep. Such a row, made by hand,
    still has its message, and must not take down the daemon and the rows claimed with it.
    """
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _storable(text: str) -> str:
    """Return text that PostgreSQL takes: receivers send NUL bytes and lone surrogates (JSON allows them) too."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _columns(acks: Sequence[Ack]) -> dict[str, list[Any]]:
    """Turn acks into one array per field, in the order ack.sql unnests them."""
    return {
        "queue_ids": [a.claim.queue_id for a in acks],
        "claim_nos": [a.claim.claim_no for a in acks],
        "outcomes": [a.outcome.value for a in acks],
        "reasons": [a.reason.value for a in acks],
        "details": [_storable(a.detail) for a in acks],
        "codes": [a.code for a in acks],
        "delays": [a.delay for a in acks],
        "charges": [a.charged for a in acks],
        "settled": [" ".join(sorted(a.settled)) for a in acks],
        "delivery_ms": [a.delivery_ms for a in acks],
        "dwell_ms": [a.dwell_ms for a in acks],
        "ambiguous": [a.ambiguous for a in acks],
        "finished_at": [a.finished_at for a in acks],
        "claimed_at": [a.claim.claimed_at for a in acks],
        "alert_ids": [a.claim.alert.alert_id for a in acks],
        "setting_ids": [a.claim.setting_id for a in acks],
        "events": [a.claim.event.value for a in acks],
        "attempts": [a.claim.attempt for a in acks],
        "channels": [a.claim.channel for a in acks],
        "destination_keys": [a.claim.destination_key for a in acks],
        "recipients": [a.claim.recipient for a in acks],
    }
