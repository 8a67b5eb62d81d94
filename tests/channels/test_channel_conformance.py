"""What every channel promises the dispatcher, held against a real receiver that misbehaves."""

import asyncio
import json
import logging
import time
from dataclasses import replace
from typing import Any

import pytest

from channels.rig import NOTIFICATION, Rig, notification
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import Delivered, Event, Notification, Permanent, Reason, Receipt, Scope, Severity, Transient

JUNK: list[Any] = [
    None,
    [],
    "text",
    7,
    True,
    {},
    {"to": None, "webhook": None, "routing_key": None},
    {"to": [], "email": "", "webhook": "", "routing_key": ""},
    {"to": 7, "email": 7, "webhook": 7, "routing_key": 7},
    {"to": {"a": ["b"]}, "webhook": {"url": "x"}, "service_key": {"k": 1}},
    {"to": ["x" * 1_000_000], "webhook": "https://example.com/" + "x" * 1_000_000, "routing_key": "x" * 1_000_000},
    {"to": [["nested@example.com"]], "webhook": ["https://example.com/x"], "routing_key": ["a" * 32]},
    {"to": ["a@b.example", None], "webhook": True, "routing_key": False},
    {
        "to": "a@b.example\r\nBcc: c@d.example e",
        "webhook": "https://x.example/\r\nX: y",
        "routing_key": "a\r\n" + "b" * 29,
    },
]


async def test_a_message_that_is_taken_is_delivered_once(rig: Rig) -> None:
    """A success at the receiver is a Delivered receipt, and exactly one message has arrived."""
    receipt = await rig.deliver()
    assert isinstance(receipt, Delivered)
    assert receipt.code in {200, 202, 250}
    assert rig.taken() == 1


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("severity", list(Severity))
async def test_every_event_and_severity_is_taken(rig: Rig, event: Event, severity: Severity) -> None:
    """The receiver, which checks payloads as the real one does, takes all events of all severities."""
    assert isinstance(await rig.deliver(replace(notification(severity=severity), event=event)), Delivered)


async def test_a_failure_that_may_pass_is_transient_and_the_next_attempt_delivers(rig: Rig) -> None:
    """A receiver that says "later" gives a Transient receipt that is neither ambiguous nor a rate limit."""
    rig.fail_for_now()
    receipt = await rig.deliver()
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.SERVER_ERROR
    assert (receipt.ambiguous, receipt.retry_after) == (False, None)
    assert isinstance(await rig.deliver(), Delivered)
    assert rig.taken() == 1


async def test_a_refused_message_is_permanent_for_the_message(rig: Rig) -> None:
    """A message the receiver will never take condemns the message and not the destination."""
    rig.refuse_message()
    receipt = await rig.deliver()
    assert isinstance(receipt, Permanent)
    assert receipt.scope is Scope.MESSAGE
    assert rig.taken() == 0


async def test_a_destination_that_is_gone_is_permanent_for_the_destination(rig: Rig) -> None:
    """A refusal that has nothing to do with the message condemns the destination."""
    rig.refuse_destination()
    receipt = await rig.deliver()
    assert isinstance(receipt, Permanent)
    assert receipt.scope is Scope.DESTINATION


async def test_a_refused_connection_is_transient_and_certain(rig: Rig) -> None:
    """When nothing listens, trying again can help and nothing can have arrived."""
    destination = rig.channel.parse(rig.config)
    await rig.stop_receiver()
    receipt = await rig.channel.send(destination, rig.channel.render(NOTIFICATION, destination))
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.CONNECTION
    assert not receipt.ambiguous


async def test_a_receiver_that_never_answers_costs_no_more_than_the_deadline(rig: Rig) -> None:
    """The channel ends the attempt itself, inside the dispatcher's deadline, and says that the message may be there."""
    rig.hang()
    async with asyncio.timeout(rig.channel.deadline):
        receipt = await rig.deliver()
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.TIMEOUT
    assert receipt.ambiguous


async def test_a_connection_cut_after_the_message_is_ambiguous(rig: Rig) -> None:
    """Without an answer nobody can know whether the message was taken."""
    rig.cut()
    receipt = await rig.deliver()
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.CONNECTION
    assert receipt.ambiguous


async def test_cancellation_passes_through_and_closes_the_connection(rig: Rig) -> None:
    """A cancelled delivery raises CancelledError and leaves no connection behind."""
    rig.hang()
    sent = rig.watch_sending()
    async with asyncio.TaskGroup() as group:
        delivery = group.create_task(rig.deliver())
        await sent.wait()
        started = time.monotonic()
        delivery.cancel()
    assert delivery.cancelled()
    assert time.monotonic() - started < 1.0
    async with asyncio.timeout(5):
        await rig.deserted()


async def test_fifty_deliveries_at_once_all_arrive(rig: Rig) -> None:
    """Deliveries in parallel don't get in each other's way."""
    receipts = await asyncio.gather(*(rig.deliver(replace(NOTIFICATION, key=f"q{number}")) for number in range(50)))
    assert [receipt for receipt in receipts if not isinstance(receipt, Delivered)] == []
    assert rig.taken() == 50


async def test_connections_are_kept(rig: Rig) -> None:
    """Deliveries one after the other share one connection."""
    for _ in range(5):
        assert isinstance(await rig.deliver(), Delivered)
    assert (rig.mail if rig.name == "email" else rig.http).connections_made == 1


async def test_nothing_is_sent_after_closing(rig: Rig) -> None:
    """A delivery that comes too late is given back for a later attempt, and closing twice does nothing."""
    destination = rig.channel.parse(rig.config)
    await rig.channel.aclose()
    await rig.channel.aclose()
    receipt = await rig.channel.send(destination, rig.channel.render(NOTIFICATION, destination))
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.SHUTDOWN
    assert rig.taken() == 0


async def test_a_probe_reaches_the_receiver_and_tells_no_human(rig: Rig) -> None:
    """Probing succeeds against a receiver that works and leaves no message in it."""
    receipt = await rig.channel.probe(rig.channel.parse(rig.config))
    assert isinstance(receipt, Delivered)
    assert rig.taken() == 0
    assert rig.http.received == 0


async def test_a_probe_of_a_dead_receiver_is_transient(rig: Rig) -> None:
    """Probing says that nothing listens instead of raising."""
    destination = rig.channel.parse(rig.config)
    await rig.stop_receiver()
    receipt = await rig.channel.probe(destination)
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.CONNECTION


@pytest.mark.parametrize("config", JUNK, ids=[repr(junk)[:40] for junk in JUNK])
async def test_a_config_of_any_shape_is_refused_with_the_key_to_mend(rig: Rig, config: Any) -> None:
    """Whatever JSON stands in a setting, the result is a DestinationError of readable length that names a key."""
    with pytest.raises(DestinationError) as caught:
        rig.channel.parse(config)
    message = str(caught.value)
    assert len(message) < 500
    assert any(key in message for key in ("config", "to", "email", "webhook", "routing_key", "service_key"))


async def test_alerts_without_a_baseline_leave_no_gaps(rig: Rig) -> None:
    """An ANOMALY with nothing but a name gives a message without "None", empty parts or doubled blanks."""
    bare = notification(
        alert_type="ANOMALY",
        message="",
        duration_us=None,
        baseline_p99_us=None,
        factor=None,
        branch=None,
        user_name=None,
    )
    assert isinstance(await rig.deliver(bare), Delivered)
    if rig.name == "email":
        parsed = rig.mail.mails[-1].message()
        body = parsed.get_body(("plain",))
        assert body is not None
        shown = str(parsed["Subject"]) + body.get_content()
    else:
        shown = json.dumps(rig.http.requests[-1].json(), ensure_ascii=False)
    assert "merge_branch" in shown
    for gap in ("None", "null", '""', "()", "nan"):
        assert gap not in shown


def _shown(receipt: Receipt) -> str:
    return f"{receipt!r} {getattr(receipt, 'detail', '')}"


@pytest.mark.parametrize("way", ["fail_for_now", "refuse_message", "refuse_destination"])
async def test_secrets_a_receiver_echoes_are_in_no_receipt_and_no_log(
    rig: Rig, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that quotes everything it knows gets none of it into a receipt or a log line."""
    caplog.set_level(logging.DEBUG)
    getattr(rig, way)("you sent " + " ".join(rig.secrets) + f" to /services/T0/B0/{rig.secrets[0]}?x=1")
    shown = _shown(await rig.deliver())
    logged = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("mail.log"))
    for secret in rig.own_secrets:
        assert secret not in shown
        assert secret not in logged


async def test_secrets_are_in_no_receipt_when_the_connection_fails(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Connection errors name the host and nothing more."""
    caplog.set_level(logging.DEBUG)
    destination = rig.channel.parse(rig.config)
    await rig.stop_receiver()
    shown = _shown(await rig.channel.send(destination, rig.channel.render(NOTIFICATION, destination)))
    logged = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("mail.log"))
    for secret in rig.secrets:
        assert secret not in shown
        assert secret not in logged


async def test_destinations_print_without_their_secrets(rig: Rig) -> None:
    """A destination that gets into a traceback or a log by accident shows no key and no webhook."""
    shown = repr(rig.channel.parse(rig.config))
    for secret in rig.secrets[:3]:
        assert secret not in shown


async def test_two_notifications_never_share_state(rig: Rig) -> None:
    """Rendering the same notification twice gives the same message, and another one gives another."""
    destination = rig.channel.parse(rig.config)

    def bytes_of(what: Notification) -> bytes:
        message = rig.channel.render(what, destination)
        made: bytes = message.data if rig.name == "email" else message.payload
        return made

    other = replace(notification(operation_type="checkout"), key="q2", dedup_key="pggit-alert-13")
    assert bytes_of(NOTIFICATION) != bytes_of(other)
    if rig.name != "email":
        assert bytes_of(NOTIFICATION) == bytes_of(NOTIFICATION)
