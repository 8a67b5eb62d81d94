"""One claim becomes one ack: every refusal, every reply, every way a channel can misbehave."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pggit_alertd.backoff import RetrySchedule
from pggit_alertd.channels import mends
from pggit_alertd.delivery import Attempt, Deliverer
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import (
    Ack,
    Claim,
    Delivered,
    Notification,
    Outcome,
    Permanent,
    Reason,
    Receipt,
    Transient,
)
from support.claims import EPOCH, HandClock, claim


class Local:
    """A channel whose receiver is a function in this process."""

    name = "slack"
    keys = ("webhook",)
    deadline = 20.0

    def __init__(self, clock: HandClock, reply: Callable[[], Awaitable[Receipt]]) -> None:
        self.clock = clock
        self.reply = reply
        self.parsed = 0
        self.sent: list[tuple[str, Notification]] = []
        self.render_seconds = 0.0

    def parse(self, config: Mapping[str, Any]) -> str:
        """Return the webhook."""
        self.parsed += 1
        if "webhook" not in config:
            raise DestinationError('give "webhook"')
        return str(config["webhook"])

    def render(self, notification: Notification, destination: str) -> Notification:
        """Return the notification as it is, after as long as the test wants."""
        assert destination
        self.clock.seconds += self.render_seconds
        return notification

    async def send(self, destination: str, message: Notification) -> Receipt:
        """Take 40 ms and reply."""
        self.sent.append((destination, message))
        self.clock.seconds += 0.04
        return await self.reply()

    async def probe(self, destination: str) -> Receipt:
        """Say that all is well."""
        assert destination
        return Delivered()

    async def aclose(self) -> None:
        """Keep nothing, close nothing."""


class Bench:
    """A deliverer with one local channel and a clock in the test's hand."""

    def __init__(self, receipt: Receipt | BaseException | None = None, **options: Any) -> None:
        self.clock = HandClock()
        self.receipt = receipt if receipt is not None else Delivered(code=200)
        self.channel = Local(self.clock, self.reply)
        self.deliverer = Deliverer(
            {"slack": self.channel},
            schedule=RetrySchedule(base=2.0, cap=900.0, source=random.Random(3)),  # noqa: S311 - not a secret
            clock=self.clock,
            **options,
        )

    async def reply(self) -> Receipt:
        """Give the receipt, or raise it."""
        if isinstance(self.receipt, BaseException):
            raise self.receipt
        return self.receipt

    async def deliver(self, **changes: Any) -> Ack:
        """Deliver a claim."""
        return await self.deliverer.deliver(Attempt(claim(**changes)))


async def test_a_delivery_is_measured_and_dated_by_the_database() -> None:
    """Sent: how long it took, how long since the alert, and when by the database's clock."""
    bench = Bench()
    bench.clock.seconds += 1.5
    ack = await bench.deliver()
    assert (ack.outcome, ack.reason, ack.code, ack.charged, ack.pause) == (Outcome.SENT, Reason.NONE, 200, True, None)
    assert ack.delivery_ms == 40
    assert ack.dwell_ms == 3500, "two seconds before the claim, and 1.5 after"
    assert ack.finished_at == EPOCH + timedelta(seconds=1.54)
    ((destination, message),) = bench.channel.sent
    assert destination.endswith("/T/B/x")
    assert message.alert.alert_id == 42


REFUSALS: list[tuple[dict[str, Any], Outcome, Reason, bool]] = [
    ({"setting_found": False, "setting_enabled": False}, Outcome.FAILED, Reason.SETTING_MISSING, True),
    ({"setting_enabled": False}, Outcome.HELD, Reason.SETTING_DISABLED, False),
    ({"lost": 5}, Outcome.FAILED, Reason.POISON, True),
    ({"lost": 5, "setting_enabled": False}, Outcome.FAILED, Reason.POISON, True),
    ({"give_up_in": 0.0}, Outcome.FAILED, Reason.EXPIRED, True),
    ({"give_up_in": -5.0}, Outcome.FAILED, Reason.EXPIRED, True),
    ({"paused_for": 12.0}, Outcome.RELEASED, Reason.PAUSED, False),
    ({"trusted_until": 999.0}, Outcome.RELEASED, Reason.LEASE, False),
    ({"setting_channel": "pigeon"}, Outcome.FAILED, Reason.INVALID_SETTING, True),
    ({"setting_channel": None}, Outcome.FAILED, Reason.INVALID_SETTING, True),
    ({"config": None}, Outcome.FAILED, Reason.INVALID_SETTING, True),
    ({"config": "[]"}, Outcome.FAILED, Reason.INVALID_SETTING, True),
    ({"config": "null"}, Outcome.FAILED, Reason.INVALID_SETTING, True),
    ({"config": "{}"}, Outcome.FAILED, Reason.INVALID_SETTING, True),
]


@pytest.mark.parametrize(("changes", "outcome", "reason", "charged"), REFUSALS)
async def test_what_must_not_be_sent_is_not_sent(
    changes: dict[str, Any], outcome: Outcome, reason: Reason, charged: bool
) -> None:
    """Each refusal has its outcome and reason, costs an attempt only if it is final, and never reaches the network."""
    bench = Bench()
    ack = await bench.deliver(**changes)
    assert (ack.outcome, ack.reason, ack.charged) == (outcome, reason, charged)
    assert bench.channel.sent == []
    assert ack.delivery_ms is None
    assert ack.detail or outcome is Outcome.RELEASED
    assert "hooks.slack.com" not in ack.detail


async def test_four_vanished_workers_are_not_yet_poison() -> None:
    """The bound is exact, and a setting."""
    assert (await Bench().deliver(lost=4)).outcome is Outcome.SENT
    assert (await Bench(max_lost=1).deliver(lost=1)).reason is Reason.POISON


async def test_slow_rendering_does_not_outlive_the_lease() -> None:
    """The lease is looked at after everything else, just before the network."""
    bench = Bench()
    bench.channel.render_seconds = 31.0
    ack = await bench.deliver()
    assert (ack.outcome, ack.reason) == (Outcome.RELEASED, Reason.LEASE)
    assert bench.channel.sent == []


async def test_a_dry_run_does_everything_but_send() -> None:
    """It is logged as sent with the reason dry_run; a broken setting is still found."""
    bench = Bench(dry_run=True)
    ack = await bench.deliver()
    assert (ack.outcome, ack.reason, ack.delivery_ms) == (Outcome.SENT, Reason.DRY_RUN, None)
    assert bench.channel.sent == []
    assert (await bench.deliver(config="{}")).reason is Reason.INVALID_SETTING


async def test_a_permanent_refusal_fails_at_once() -> None:
    """No second attempt, and the receiver's words and code are kept."""
    ack = await Bench(Permanent(Reason.DESTINATION_GONE, "no_service", code=404)).deliver()
    assert (ack.outcome, ack.reason, ack.detail, ack.code) == (
        Outcome.FAILED,
        Reason.DESTINATION_GONE,
        "no_service",
        404,
    )


async def test_refused_recipients_of_a_delivered_mail_are_named() -> None:
    """Delivered to some is delivered; who refused stands in the log."""
    ack = await Bench(Delivered(code=250, refused=("o***@x.org", "p***@x.org"))).deliver()
    assert (ack.outcome, ack.reason) == (Outcome.SENT, Reason.REFUSED_RECIPIENT)
    assert ack.detail == "refused: o***@x.org, p***@x.org"


async def test_a_transient_failure_is_tried_again_later() -> None:
    """The delay grows with the attempt, the attempt is charged, and what is settled is remembered."""
    receipt = Transient(Reason.SERVER_ERROR, "busy", code=503, ambiguous=True, settled=frozenset({"aa"}))
    first, tenth = await Bench(receipt).deliver(attempt=1), await Bench(receipt).deliver(attempt=10)
    assert (first.outcome, first.reason, first.code, first.charged) == (Outcome.RETRY, Reason.SERVER_ERROR, 503, True)
    assert (first.ambiguous, first.settled, first.pause) == (True, frozenset({"aa"}), None)
    assert 1 <= first.delay <= 2
    assert 450 <= tenth.delay <= 900


async def test_retry_after_pauses_the_destination_here_and_for_all() -> None:
    """The receiver's wish is exact and costs no attempt; what was claimed before the database had it is handed back."""
    bench = Bench(Transient(Reason.RATE_LIMITED, "slow down", code=429, retry_after=30.0))
    ack = await bench.deliver()
    assert (ack.outcome, ack.delay, ack.pause, ack.charged) == (Outcome.RETRY, 30.0, 30.0, False)
    bench.receipt = Delivered()
    bench.clock.seconds += 0.5
    held_back = await bench.deliver(queue_id=8)
    assert (held_back.outcome, held_back.reason) == (Outcome.RELEASED, Reason.PAUSED)
    assert held_back.delay == pytest.approx(1.5)
    elsewhere = claim(destination_key="slack:other", trusted_until=2000.0)
    assert (await bench.deliverer.deliver(Attempt(elsewhere))).outcome is Outcome.SENT
    bench.clock.seconds += 1.6
    assert (await bench.deliver(queue_id=8, trusted_until=2000.0)).outcome is Outcome.SENT, "from here the claim knows"


@pytest.mark.parametrize("retry_after", [None, 100.0])
async def test_beyond_the_horizon_it_is_given_up(retry_after: float | None) -> None:
    """If the next attempt would come too late, the row fails now, keeps the cause, and the attempt is charged."""
    ack = await Bench(Transient(Reason.TIMEOUT, "no answer", retry_after=retry_after)).deliver(
        attempt=9, give_up_in=90.0
    )
    assert (ack.outcome, ack.reason, ack.charged) == (Outcome.FAILED, Reason.TIMEOUT, True)
    assert ack.detail == "gave up after 9 attempts, the retry horizon is over: no answer"


async def test_time_spent_since_the_claim_counts_against_the_horizon() -> None:
    """What is left is measured from now, not from the claim."""
    bench = Bench(Transient(Reason.TIMEOUT, "no answer"))
    bench.clock.seconds += 25
    assert (await bench.deliver(give_up_in=26.0)).outcome is Outcome.FAILED
    assert (await bench.deliver(give_up_in=28.0)).outcome is Outcome.RETRY


async def test_a_channel_that_never_answers_meets_the_deadline() -> None:
    """The deadline ends the attempt as a time-out that may have arrived."""
    bench = Bench()
    bench.channel.deadline = 0.01

    async def never() -> Receipt:
        await asyncio.Event().wait()
        raise AssertionError

    bench.channel.reply = never
    ack = await bench.deliver()
    assert (ack.outcome, ack.reason, ack.ambiguous) == (Outcome.RETRY, Reason.TIMEOUT, True)
    assert "0.01 s" in ack.detail


@pytest.mark.parametrize(
    "error", [RuntimeError("https://hooks.slack.com/services/SECRET"), RecursionError(), OSError(5, "x")]
)
async def test_a_channel_that_raises_costs_a_retry_and_gives_nothing_away(error: Exception) -> None:
    """Whatever a channel throws, an ack comes out, naming the kind of error and never its text."""
    ack = await Bench(error).deliver()
    assert (ack.outcome, ack.reason) == (Outcome.RETRY, Reason.INTERNAL)
    assert type(error).__name__ in ack.detail
    assert "SECRET" not in ack.detail


async def test_an_abyss_of_json_is_a_defined_failure() -> None:
    """A config nested deeper than Python can follow ends in an ack, too."""
    ack = await Bench().deliver(config="[" * 100_000)
    assert ack.outcome in {Outcome.RETRY, Outcome.FAILED}


async def test_shutdown_hands_back_what_has_not_begun_and_marks_what_has() -> None:
    """Before the first byte: released, no attempt charged. After it: tried again as a possible duplicate."""
    bench = Bench()
    ack = bench.deliverer.abandoned(Attempt(claim()))
    assert (ack.outcome, ack.charged, ack.ambiguous, ack.delivery_ms) == (Outcome.RELEASED, False, False, None)
    sending = asyncio.Event()

    async def never() -> Receipt:
        sending.set()
        await asyncio.Event().wait()
        raise AssertionError

    bench.channel.reply = never
    attempt = Attempt(claim())
    task = asyncio.create_task(bench.deliverer.deliver(attempt))
    await sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ack = bench.deliverer.abandoned(attempt)
    assert (ack.outcome, ack.charged, ack.ambiguous, ack.reason) == (Outcome.RETRY, True, True, Reason.SHUTDOWN)
    assert ack.delivery_ms == 40


async def test_a_config_is_parsed_once_and_a_changed_one_again() -> None:
    """Parsing is remembered by the config's text; an error is not, so a mended setting counts at once."""
    bench = Bench()
    for _ in range(3):
        await bench.deliver()
    assert bench.channel.parsed == 1
    for _ in range(2):
        await bench.deliver(config="{}")
    assert bench.channel.parsed == 3
    await bench.deliver(config='{"webhook": "https://example.com/other"}')
    assert [destination for destination, _ in bench.channel.sent][-1] == "https://example.com/other"


async def test_an_alert_from_the_future_has_waited_for_no_time() -> None:
    """A writer's clock that is ahead never makes a negative dwell time."""
    healthy: Claim = claim()
    ack = await Bench().deliver(alert=replace(healthy.alert, occurred_at=EPOCH + timedelta(hours=5)))
    assert ack.dwell_ms == 0


def test_whatever_a_channel_answers_has_a_mend() -> None:
    """Who tries a setting is told what to do about every reason that a channel gives."""
    folder = Path(mends.__file__).parent
    given = {name for path in folder.glob("*.py") for name in re.findall(r"Reason\.([A-Z_]+)", path.read_text())}
    told = {reason.name for reason in mends.MENDS}
    assert given - told == {"SHUTDOWN"}
    assert mends.mended("it failed", Reason.AUTH).startswith("it failed; mend the key")
    assert mends.mended("it failed", Reason.SHUTDOWN) == "it failed"
