"""One claim becomes one attempt: check, render, send under a deadline, and say what came of it.

Nothing here touches the database. Whatever happens, an Ack comes out: a claim without one would wait for its lease.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from pggit_alertd import logs
from pggit_alertd.backoff import RetrySchedule, told_wait
from pggit_alertd.channels.protocol import Channel
from pggit_alertd.clock import Clock
from pggit_alertd.deadline import within
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import Ack, Claim, Delivered, Outcome, Permanent, Reason, Receipt, Scope, Transient, Verdict

HOLD_SECONDS = 30.0
# A told pause is kept here only until the database has it, from where all replicas get it and people can lift it.
PAUSE_SECONDS = 2.0
_log = logs.get("delivery")


class Attempt:
    """A claim on its way out. `begun` tells whether bytes may have left for the receiver.

    A shutdown that cancels an attempt which has not begun hands its row back untouched; one that has begun is tried
    again and marked as a possible duplicate.
    """

    __slots__ = ("begun", "claim")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.begun: float | None = None


class Deliverer:
    """Delivers claims through the channels.

    `max_lost` is how many workers may vanish over one row before it is thought to kill them.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel[Any, Any]],
        *,
        schedule: RetrySchedule,
        clock: Clock,
        max_lost: int = 5,
        dry_run: bool = False,
        source: str = "",
    ) -> None:
        self._channels = channels
        self._schedule = schedule
        self._clock = clock
        self._max_lost = max_lost
        self._dry_run = dry_run
        self._source = source
        self._paused: dict[str, float] = {}
        self._parse = lru_cache(maxsize=1024)(self._parse_config)

    async def deliver(self, attempt: Attempt) -> Ack:
        """Attempt one delivery. Raises nothing but CancelledError."""
        claim = attempt.claim
        try:
            return self._refusal(claim) or await self._send(attempt)
        except DestinationError as error:
            return self._failed(claim, Reason.INVALID_SETTING, f"setting {claim.setting_id}: {error}")
        except Exception as error:  # noqa: BLE001 - a claim must not end without an ack, whatever a channel does
            _log.exception("delivery_crashed", queue_id=claim.queue_id, channel=claim.channel)
            return self._retry(
                attempt, Transient(Reason.INTERNAL, f"{type(error).__name__} in the {claim.channel} channel")
            )

    def postponed(self, claim: Claim, seconds: float) -> Ack:
        """Return the ack of a claim that has to wait its turn; it is handed back untouched."""
        return self._ack(
            claim, Outcome.RELEASED, Reason.LEASE, "workers vanished over it", delay=seconds, charged=False
        )

    def abandoned(self, attempt: Attempt) -> Ack:
        """Return the ack of an attempt that shutdown has cancelled."""
        if attempt.begun is None:
            return self._ack(attempt.claim, Outcome.RELEASED, Reason.SHUTDOWN, charged=False)
        return self._ack(
            attempt.claim,
            Outcome.RETRY,
            Reason.SHUTDOWN,
            "stopped while sending; the message may have arrived",
            ambiguous=True,
            delivery_ms=self._milliseconds(attempt.begun),
            dwell_ms=self._dwell(attempt),
        )

    def _refusal(self, claim: Claim) -> Ack | None:
        """Return the ack of a claim that must not be sent now, or None."""
        if not claim.setting_found:
            return self._failed(
                claim, Reason.SETTING_MISSING, "the notification setting was deleted; nothing says where to send this"
            )
        if claim.lost >= self._max_lost:
            return self._failed(
                claim,
                Reason.POISON,
                f"{claim.lost} workers vanished while delivering this; see the log, then "
                f"SELECT pggit.replay_notification({claim.queue_id})",
            )
        if not claim.setting_enabled:
            return self._ack(
                claim,
                Outcome.HELD,
                Reason.SETTING_DISABLED,
                f"setting {claim.setting_id} is disabled",
                delay=HOLD_SECONDS,
                charged=False,
            )
        if claim.give_up_in <= 0:
            return self._ack(claim, Outcome.FAILED, Reason.EXPIRED, _expiry(claim), expired=True)
        pause = claim.paused_for
        if self._paused:
            here = self._paused.get(claim.destination_key or "", 0.0) - self._clock.monotonic()
            pause = max(pause, here)
        if pause > 0:
            return self._ack(claim, Outcome.RELEASED, Reason.PAUSED, delay=pause, charged=False)
        return None

    async def _send(self, attempt: Attempt) -> Ack:
        claim = attempt.claim
        channel = self._channels.get(claim.setting_channel or "")
        if channel is None:
            raise DestinationError(
                f"notification_channel must be one of {', '.join(sorted(self._channels))}; mend the setting"
            )
        destination = self._parse(channel.name, claim.config)
        message = channel.render(claim.notification(self._source), destination)
        if self._dry_run:
            return self._ack(claim, Outcome.SENT, Reason.DRY_RUN, "dry run: not sent", dwell_ms=self._dwell(attempt))
        now = self._clock.monotonic()
        if now > claim.trusted_until:
            return self._ack(claim, Outcome.RELEASED, Reason.LEASE, "too late to trust the lease", charged=False)
        attempt.begun = now
        receipt: Receipt
        try:
            receipt = await within(channel.deadline, channel.send(destination, message))
        except TimeoutError:
            receipt = Transient(Reason.TIMEOUT, f"no answer within {channel.deadline:g} s", ambiguous=True)
        return self._judge(attempt, receipt)

    def _judge(self, attempt: Attempt, receipt: Receipt) -> Ack:
        """Turn what the receiver said into what happens to the row."""
        claim = attempt.claim
        match receipt:
            case Delivered():
                return self._sent(attempt, receipt)
            case Permanent():
                return self._ack(
                    claim,
                    Outcome.FAILED,
                    receipt.reason,
                    receipt.detail,
                    code=receipt.code,
                    verdict=_sentence(receipt),
                    delivery_ms=self._milliseconds(attempt.begun),
                    dwell_ms=self._dwell(attempt),
                )
            case Transient():
                return self._retry(attempt, receipt)

    def _sent(self, attempt: Attempt, receipt: Delivered) -> Ack:
        claim, now = attempt.claim, self._clock.monotonic()
        return Ack(
            claim,
            Outcome.SENT,
            Reason.REFUSED_RECIPIENT if receipt.refused else Reason.NONE,
            receipt.detail or (f"refused: {', '.join(receipt.refused)}" if receipt.refused else ""),
            receipt.code,
            verdict=Verdict.OK,
            delivery_ms=self._milliseconds(attempt.begun),
            dwell_ms=self._dwell(attempt),
            finished_at=claim.claimed_at + timedelta(seconds=now - claim.claimed_monotonic),
        )

    def _retry(self, attempt: Attempt, receipt: Transient) -> Ack:
        """Plan the next attempt, or give up if it would lie beyond the horizon."""
        claim = attempt.claim
        delay = self._schedule.after(claim.attempt, receipt)
        left = claim.give_up_in - (self._clock.monotonic() - claim.claimed_monotonic)
        told = told_wait(receipt) is not None
        if told and claim.destination_key:
            self._paused[claim.destination_key] = self._clock.monotonic() + min(delay, PAUSE_SECONDS)
        outcome, detail = Outcome.RETRY, receipt.detail
        if delay > left:
            outcome = Outcome.FAILED
            detail = f"gave up after {claim.attempt} attempts, the retry horizon is over: {receipt.detail}"
        return self._ack(
            claim,
            outcome,
            receipt.reason,
            detail,
            code=receipt.code,
            delay=delay,
            pause=delay if told else None,
            grows=receipt.grows,
            charged=not told or outcome is Outcome.FAILED,
            expired=outcome is Outcome.FAILED,
            ambiguous=receipt.ambiguous,
            settled=receipt.settled,
            verdict=Verdict.NOTHING if told else _verdict(receipt),
            delivery_ms=self._milliseconds(attempt.begun),
            dwell_ms=self._dwell(attempt),
        )

    def _failed(self, claim: Claim, reason: Reason, detail: str) -> Ack:
        return self._ack(claim, Outcome.FAILED, reason, detail)

    def _ack(self, claim: Claim, outcome: Outcome, reason: Reason, detail: str = "", **more: Any) -> Ack:
        held = self._clock.monotonic() - claim.claimed_monotonic
        more.setdefault("verdict", Verdict.UNASKED if more.get("delivery_ms") is None else Verdict.NOTHING)
        return Ack(
            claim=claim,
            outcome=outcome,
            reason=reason,
            detail=detail,
            finished_at=claim.claimed_at + timedelta(seconds=held),
            **more,
        )

    def _parse_config(self, channel: str, config: str | None) -> Any:
        try:
            loaded = json.loads(config) if config is not None else None
        except (ValueError, RecursionError):
            raise DestinationError("config holds a number or a nesting beyond all measure; mend the setting") from None
        if not isinstance(loaded, dict):
            raise DestinationError("config must be a JSON object; mend the setting")
        return self._channels[channel].parse(loaded)

    def _milliseconds(self, begun: float | None) -> int | None:
        return None if begun is None else round((self._clock.monotonic() - begun) * 1000)

    def _dwell(self, attempt: Attempt) -> int:
        """Milliseconds from the alert to the moment this attempt began (or now)."""
        claim = attempt.claim
        begun = attempt.begun if attempt.begun is not None else self._clock.monotonic()
        waited = (claim.claimed_at - claim.alert.occurred_at).total_seconds() + begun - claim.claimed_monotonic
        return max(round(waited * 1000), 0)


def _verdict(receipt: Transient) -> Verdict:
    """Return what a failure says about the destination: one mailbox that is full says that the server works."""
    if receipt.reason is Reason.INTERNAL:
        return Verdict.NOTHING
    return Verdict.TRANSIENT if receipt.scope is Scope.DESTINATION else Verdict.OK


def _sentence(receipt: Permanent) -> Verdict:
    """Return what a refusal says about the destination; what this program lacks says nothing."""
    if receipt.reason is Reason.INVALID_SETTING:
        return Verdict.NOTHING
    return Verdict.CONDEMNED if receipt.scope is Scope.DESTINATION else Verdict.OK


def _expiry(claim: Claim) -> str:
    """Return why a row whose time is over was not delivered."""
    if claim.attempt > 1 and claim.last_error:
        return f"gave up after {claim.attempt - 1} attempts, the retry horizon is over: {claim.last_error}"
    return "the retry horizon passed before this could be sent"
