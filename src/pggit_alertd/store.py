"""The only writer of outbox, queue and log: route, claim, acknowledge, pause.

Every method is one statement of sql/queries in autocommit. What an ack may change is decided in SQL by the fence
(queue_id, claim_no, worker, claimed_at); docs/design/delivery.md goes through the failure cases.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg.rows import TupleRow

from pggit_alertd import logs
from pggit_alertd.claimed import claim
from pggit_alertd.clock import Clock
from pggit_alertd.database import arrays
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseLocked, NotificationsLocked
from pggit_alertd.model import Ack, Claim, Outcome, Urgency

_log = logs.get("store")


class Lane(NamedTuple):
    """One destination's work of one urgency. A full lane never holds up another."""

    channel: str
    urgency: Urgency
    destination: str


@dataclass(frozen=True, slots=True)
class Room:
    """What a channel's lanes of one urgency can take now.

    `slots` for each destination, `budget` for all lanes of this urgency, whatever their channel.
    `lease` (seconds) is what the database grants; `trust` (seconds, shorter) is how long after the start of the claim
    a delivery may still begin, by this process's own clock.
    """

    channel: str
    urgency: Urgency
    slots: int
    budget: int
    lease: float
    trust: float


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a destination's circuit breaker opens, and for how long (seconds).

    It opens after `threshold` failures in a row for `base`, twice as long after each probe that fails, at most `cap`;
    or for `condemned` at once, after a refusal that only people can mend. A row that somebody holds, a destination's
    or a notification's, is waited for for `patience`; longer, and results would pile up in memory while their leases
    run out.
    """

    threshold: int = 3
    base: float = 2.0
    cap: float = 60.0
    condemned: float = 900.0
    patience: float = 0.5


@dataclass(frozen=True, slots=True)
class BrokenDestination:
    """A destination that gets nothing now. Times are seconds from now; `recipient` is masked.

    `open_for` counts from when its breaker opened, None if it is only paused; `until` is when it is tried again.
    """

    destination_key: str
    channel: str
    recipient: str
    open_for: float | None
    until: float
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class Routed:
    """What one call of the router did; `suppressed` counts by reason what nobody is told of."""

    alerts: int
    queued: int
    refused: int
    suppressed: Mapping[str, int]


IMPATIENT_SECONDS = 5.0
"""How long nobody's lock is waited for after one was held too long: else each batch would wait for it anew."""
COUNTED = 100_000
"""Where queue_depth.sql and outbox_depth.sql end counting: this many is "at least"."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of a channel's work is in one state; a count of `COUNTED` means at least so many."""

    channel: str
    status: str
    count: int
    oldest_due_seconds: float


class Store:
    """The queue as this worker sees it.

    `worker` is this process's name in every claim; two processes must never share one. With `coalesce` off, each
    notification is a message of its own, but for settings that have a min_interval.
    """

    def __init__(
        self,
        database: Database,
        worker: str,
        clock: Clock,
        *,
        breaker: BreakerRule | None = None,
        coalesce: bool = True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._breaker = breaker or BreakerRule()
        self._coalesce = coalesce
        self._impatient_until = -math.inf
        self._wary_until = -math.inf
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

    async def escalate(self, *, limit: int) -> tuple[int, Mapping[str, int]]:
        """Tell the next in line of alerts that nobody acknowledged in time.

        Return how many were queued, and by kind of window how many steps one puts off.
        """
        queued, suppressed = (await self._database.fetch("escalate", {"limit": limit}))[0]
        return int(queued), suppressed

    async def claim(
        self, rooms: Sequence[Room], *, take_expired: bool, known: Mapping[Lane, int] | None = None
    ) -> list[Claim]:
        """Claim due rows for the free slots of each destination; `known` are lanes with fewer than all slots free.

        With `take_expired` false, rows whose worker has vanished are left for later: after an outage their workers may
        still be about to acknowledge them.
        """
        started = self._clock.monotonic()
        rows = await self._database.fetch("claim", await self._claiming(rooms, take_expired, known or {}))
        return self._claims(rows, rooms, started)

    async def route_and_claim(
        self,
        rooms: Sequence[Room],
        *,
        take_expired: bool,
        known: Mapping[Lane, int],
        limit: int,
        horizon_critical: float,
        horizon: float,
    ) -> tuple[Routed, list[Claim]]:
        """Route up to `limit` alert events and claim, in one transaction: what was just raised is on its way sooner."""
        started = self._clock.monotonic()
        routing = {"limit": limit, "horizon_critical": horizon_critical, "horizon": horizon}
        rows = await self._database.fetch(
            "route_and_claim", {**routing, **await self._claiming(rooms, take_expired, known)}
        )
        claimed = [row[4:] for row in rows if row[4] is not None]
        return Routed(*rows[0][:4]), self._claims(claimed, rooms, started)

    async def _claiming(self, rooms: Sequence[Room], take_expired: bool, known: Mapping[Lane, int]) -> dict[str, Any]:
        """Return the parameters of a claim."""
        if not self._installation:
            self._installation = str((await self._database.fetch("installation"))[0][0])
        return {
            "channels": arrays.texts([room.channel for room in rooms]),
            "urgencies": arrays.numbers([int(room.urgency) for room in rooms]),
            "slots": arrays.numbers([room.slots for room in rooms]),
            "budgets": arrays.numbers([room.budget for room in rooms]),
            "leases": arrays.numbers([room.lease for room in rooms]),
            "known_channels": arrays.texts([lane.channel for lane in known]),
            "known_urgencies": arrays.numbers([int(lane.urgency) for lane in known]),
            "known_keys": arrays.texts([lane.destination for lane in known]),
            "known_rooms": arrays.numbers([max(free, 0) for free in known.values()]),
            "worker": self.worker,
            "take_expired": take_expired,
            "coalesce": self._coalesce,
        }

    def _claims(self, rows: Sequence[TupleRow], rooms: Sequence[Room], started: float) -> list[Claim]:
        trusted_until = {(room.channel, int(room.urgency)): started + room.trust for room in rooms}
        return [claim(row, started, trusted_until, self._installation) for row in rows]

    async def acknowledge(self, acks: Sequence[Ack], *, patience: float | None = None) -> int:
        """Apply results; return how many found their row claimed by somebody else (logged as superseded).

        The breaker of a destination whose row somebody holds is left as it is: what was sent must be known first.
        `patience` (seconds) stands in for the breaker rule's. Raises NotificationsLocked if what somebody holds is a
        notification: then nothing is stored, and for a while such rows are not waited for at all, unless it is given.
        """
        waits = self._breaker.patience if patience is None else patience
        rule = {
            "breaker_threshold": self._breaker.threshold,
            "breaker_base": self._breaker.base,
            "breaker_cap": self._breaker.cap,
            "breaker_condemned": self._breaker.condemned,
        }
        given = {"worker": self.worker, "patience": _timeout(waits), **rule, **_columns(acks)}
        if patience is None and self._clock.monotonic() < self._wary_until:
            await self._refuse_locked(given)
        try:
            rows = await self._database.fetch("ack", {**given, "kept_keys": await self._kept_keys(given)})
        except DatabaseLocked:
            await self._refuse_locked(given)
            self._lose_patience()
            rows = await self._database.fetch("ack", {**given, "kept_keys": await self._kept_keys(given)})
        held = {ack.claim.setting_id for ack in acks if ack.outcome is Outcome.HELD}
        if held:
            await self._hold(held)
        return len(rows)

    async def _refuse_locked(self, given: Mapping[str, Any]) -> None:
        """Raise NotificationsLocked if somebody holds one of these rows, or one that its message speaks for."""
        asked = {"queue_ids": given["queue_ids"], "worker": self.worker}
        locked = {int(queue_id) for (queue_id,) in await self._database.fetch("held_notifications", asked)}
        if locked:
            self._wary_until = self._clock.monotonic() + IMPATIENT_SECONDS
            raise NotificationsLocked(locked)

    async def _hold(self, setting_ids: Collection[int | None]) -> None:
        """Park what waits for settings that are switched off. What is in the middle of a change comes round again."""
        asked = {"setting_ids": list(setting_ids), "patience": _timeout(self._breaker.patience)}
        try:
            await self._database.fetch("hold", asked)
        except DatabaseLocked:
            _log.debug("setting_locked", setting_ids=sorted(each for each in setting_ids if each is not None))

    async def pause(self, claim: Claim, seconds: float, *, grows: bool = False) -> None:
        """Pause the claim's destination for every replica; with `grows` for longer, if it was paused just now.

        Where somebody holds the destination's row there is no pause; the claim's own row still waits as it was told.
        """
        if claim.destination_key is None:
            return
        try:
            await self._database.execute(
                "pause_destination",
                {
                    "destination_key": claim.destination_key,
                    "channel": claim.channel,
                    "recipient": claim.recipient,
                    "seconds": seconds,
                    "grows": grows,
                    "patience": _timeout(0.001 if self._impatient() else self._breaker.patience),
                },
            )
        except DatabaseLocked:
            self._lose_patience()

    def _impatient(self) -> bool:
        return self._clock.monotonic() < self._impatient_until

    async def _kept_keys(self, given: Mapping[str, Any]) -> str | None:
        """Return the destinations whose breakers an ack keeps: all, or in a hurry those that nobody holds."""
        if not self._impatient():
            return None
        asked = {"destination_keys": given["destination_keys"]}
        return arrays.texts([key for (key,) in await self._database.fetch("free_destinations", asked)])

    def _lose_patience(self) -> None:
        """Wait for nobody's lock for a while, and say so."""
        self._impatient_until = self._clock.monotonic() + IMPATIENT_SECONDS
        _log.warning(
            "destination_locked",
            reason="a transaction holds rows of pggit.alert_destination; look for it in pg_stat_activity",
            consequence="breakers and pauses of these destinations are not kept up meanwhile",
        )

    async def next_due(self, rooms: Sequence[Room], full: Collection[Lane] = ()) -> float | None:
        """Return seconds until a lane that is not full has something due (not positive: now), None if nothing waits."""
        rows = await self._database.fetch(
            "next_due",
            {
                "channels": arrays.texts([room.channel for room in rooms]),
                "urgencies": arrays.numbers([int(room.urgency) for room in rooms]),
                "full_channels": arrays.texts([lane.channel for lane in full]),
                "full_urgencies": arrays.numbers([int(lane.urgency) for lane in full]),
                "full_keys": arrays.texts([lane.destination for lane in full]),
            },
        )
        return float(rows[0][0]) if rows else None

    async def tend_destinations(self) -> tuple[int, int]:
        """Give up what has waited too long behind open breakers, queue fallbacks; return how many of each."""
        _, given_up, rescued, _ = (await self._database.fetch("tend_destinations"))[0]
        return int(given_up), int(rescued)

    async def probe_destinations(self) -> None:
        """Let every open breaker be probed now."""
        await self._database.execute("probe_destinations")

    async def broken_destinations(self) -> list[BrokenDestination]:
        """Return the destinations that get nothing now."""
        return [
            BrokenDestination(
                key, channel, recipient, open_for, max(until or 0.0, paused or 0.0), reason or "", error or ""
            )
            for key, channel, recipient, open_for, until, paused, reason, error in await self._database.fetch(
                "broken_destinations"
            )
        ]

    async def beat(self, hostname: str, version: str) -> None:
        """Leave a sign of life."""
        await self._database.execute("worker_beat", {"worker": self.worker, "hostname": hostname, "version": version})

    async def farewell(self) -> None:
        """Say that this worker ends in order, so that nobody waits for its next sign of life."""
        await self._database.execute("worker_farewell", {"worker": self.worker})

    async def depth(self) -> list[Depth]:
        """Return how much waits and how much has failed, per channel."""
        return [Depth(*row) for row in await self._database.fetch("queue_depth")]

    async def leases(self) -> dict[str, int]:
        """Return how many rows each worker holds now."""
        return {str(worker): int(leased) for worker, leased in await self._database.fetch("leases")}

    async def outbox_depth(self) -> int:
        """Return how many alert events wait to be routed; `COUNTED` means at least so many."""
        return int((await self._database.fetch("outbox_depth"))[0][0])


def _storable(text: str) -> str:
    """Return text that PostgreSQL takes: receivers send NUL bytes and lone surrogates (JSON allows them) too."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _timeout(seconds: float) -> str:
    """Return a time as PostgreSQL's lock_timeout takes it; 0 would be for ever."""
    return f"{max(round(seconds * 1000), 1)}ms"


def _columns(acks: Sequence[Ack]) -> dict[str, str]:
    """Turn acks into one array per field, in the order ack.sql unnests them. Members of a StrEnum are their text."""
    claims = [ack.claim for ack in acks]
    return {
        "queue_ids": arrays.numbers([c.queue_id for c in claims]),
        "claim_nos": arrays.numbers([c.claim_no for c in claims]),
        "outcomes": arrays.texts([a.outcome for a in acks]),
        "reasons": arrays.texts([a.reason for a in acks]),
        "details": arrays.texts([_storable(a.detail) for a in acks]),
        "codes": arrays.numbers([a.code for a in acks]),
        "delays": arrays.numbers([a.delay for a in acks]),
        "charges": arrays.numbers([a.charged for a in acks]),
        "settled": arrays.texts([" ".join(sorted(a.settled)) if a.settled else "" for a in acks]),
        "delivery_ms": arrays.numbers([a.delivery_ms for a in acks]),
        "dwell_ms": arrays.numbers([a.dwell_ms for a in acks]),
        "ambiguous": arrays.numbers([a.ambiguous for a in acks]),
        "finished_at": arrays.instants([a.finished_at for a in acks]),
        "claimed_at": arrays.instants([c.claimed_at for c in claims]),
        "alert_ids": arrays.numbers([c.alert.alert_id for c in claims]),
        "setting_ids": arrays.numbers([c.setting_id for c in claims]),
        "events": arrays.texts([c.event for c in claims]),
        "attempts": arrays.numbers([c.attempt for c in claims]),
        "channels": arrays.texts([c.channel for c in claims]),
        "destination_keys": arrays.texts([c.destination_key for c in claims]),
        "recipients": arrays.texts([c.recipient for c in claims]),
        "verdicts": arrays.texts([a.verdict for a in acks]),
        "sizes": arrays.numbers([c.size for c in claims]),
        "expiries": arrays.numbers([a.expired for a in acks]),
    }
