"""What claim.sql returns, made into claims. A row that somebody made by hand may hold anything: it costs itself."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pggit_alertd.model import Alert, Bundle, Claim, Digest, Event, Urgency


def claim(
    row: Sequence[Any], started: float, trusted_until: Mapping[tuple[str, int], float], installation: str
) -> Claim:
    """Build a claim from a row of claim.sql, column by column."""
    (
        queue_id,
        claim_no,
        attempt,
        lost,
        taken_over,
        channel,
        urgency,
        lane_key,
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
        last_error,
        give_up_in,
        paused_for,
        probing,
        size,
        digest,
    ) = row
    # By position, in the order of the fields: names cost half as much again.
    return Claim(
        queue_id,
        claim_no,
        attempt,
        lost,
        taken_over,
        channel,
        _URGENCIES[urgency],
        _EVENTS[event],
        Alert.from_snapshot(_snapshot(snapshot), message, occurred_at),
        setting_id,
        setting_found,
        setting_enabled,
        setting_channel,
        config,
        destination_key,
        recipient,
        frozenset(settled) if settled else _NONE_SETTLED,
        give_up_in,
        paused_for or 0.0,
        enqueued_at,
        claimed_at,
        started,
        trusted_until[channel, urgency],
        installation,
        lane_key,
        last_error or "",
        probing,
        size,
        _bundle(digest) if digest else None,
    )


_URGENCIES = {int(urgency): urgency for urgency in Urgency}
_EVENTS = {event.value: event for event in Event}
_NONE_SETTLED: frozenset[str] = frozenset()


def _bundle(text: str | None) -> Bundle | None:
    """Return what a claim's digest says; None if it is for one row, or can't be read."""
    found = _snapshot(text) if text else {}
    if not found:
        return None
    worst = tuple(_bundled(each) for each in found["worst"] or ())
    event, latest = Event(found["event"]), _bundled(found["latest"])
    digest = None
    if found["alerts"] > 1:
        first_at, last_at = (datetime.fromisoformat(found[key]) for key in ("first_at", "last_at"))
        digest = Digest(found["alerts"], first_at, last_at, worst)
    if event is Event.TRIGGERED:
        return Bundle(worst[0], event, digest)
    return Bundle(latest, event, digest, folded=bool(worst))


def _bundled(found: Mapping[str, Any]) -> Alert:
    snapshot = {"alert_id": found["alert_id"], **found["alert"]}
    return Alert.from_snapshot(snapshot, found["message"], datetime.fromisoformat(found["occurred_at"]).astimezone(UTC))


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
