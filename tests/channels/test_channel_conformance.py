"""What every channel promises the dispatcher, held against a real receiver that misbehaves."""

import asyncio
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.hostile import NASTY
from channels.rig import NOTIFICATION, Rig, notification
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import (
    Delivered,
    Digest,
    Event,
    Notification,
    Permanent,
    Reason,
    Scope,
    Severity,
    Transient,
)

JUNK: list[Any] = [
    None,
    [],
    "text",
    7,
    True,
    {},
    {"to": None, "webhook": None, "routing_key": None},
    {"to": [], "email": "", "webhook": "", "routing_key": "", "url": ""},
    {"to": 7, "email": 7, "webhook": 7, "routing_key": 7, "url": 7},
    {"to": {"a": ["b"]}, "webhook": {"url": "x"}, "service_key": {"k": 1}, "url": {"url": "json://h/x"}},
    {
        "to": ["x" * 1_000_000],
        "webhook": "https://example.com/" + "x" * 1_000_000,
        "routing_key": "x" * 1_000_000,
        "url": "json://example.com/" + "x" * 1_000_000,
    },
    {
        "to": [["nested@example.com"]],
        "webhook": ["https://example.com/x"],
        "routing_key": ["a" * 32],
        "url": [["json://example.com/x"]],
    },
    {"to": ["a@b.example", None], "webhook": True, "routing_key": False, "url": [True, None]},
    {
        "to": "a@b.example\r\nBcc: c@d.example e",
        "webhook": "https://x.example/\r\nX: y",
        "routing_key": "a\r\n" + "b" * 29,
        "url": "json://x.example/\r\nX: y",
    },
]


class Watched(dict[str, Any]):
    """A config that remembers which keys it was asked for."""

    asked: set[str]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value and remember the key."""
        self.asked.add(key)
        return super().get(key, default)


async def test_the_keys_a_channel_names_are_those_it_looks_at(rig: Rig) -> None:
    """`check` warns of a key exactly if the channel ignores it: what `parse` asks for is what `keys` lists."""
    asked: set[str] = set()
    whole, empty = Watched(rig.config), Watched()
    whole.asked = empty.asked = asked
    rig.channel.parse(whole)
    with pytest.raises(DestinationError):
        rig.channel.parse(empty)
    assert sorted(rig.channel.keys) == sorted(asked)


async def test_a_message_that_is_taken_is_delivered_once(rig: Rig) -> None:
    """A success at the receiver is a Delivered receipt, and exactly one message has arrived."""
    receipt = await rig.deliver()
    assert isinstance(receipt, Delivered)
    assert receipt.code in ({200, 202, 250} if rig.tells_why else {None})
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
    assert (receipt.ambiguous, receipt.retry_after) == (not rig.tells_why, None)
    assert isinstance(await rig.deliver(), Delivered)
    assert rig.taken() == 1


async def test_a_refused_message_is_permanent_for_the_message(rig: Rig) -> None:
    """A message the receiver will never take condemns the message and not the destination, where one can know."""
    rig.refuse_message()
    receipt = await rig.deliver()
    assert rig.taken() == 0
    if not rig.tells_why:
        assert isinstance(receipt, Transient)
        return
    assert isinstance(receipt, Permanent)
    assert receipt.scope is Scope.MESSAGE


async def test_a_destination_that_is_gone_is_permanent_for_the_destination(rig: Rig) -> None:
    """A refusal that has nothing to do with the message condemns the destination, where one can know."""
    rig.refuse_destination()
    receipt = await rig.deliver()
    if not rig.tells_why:
        assert isinstance(receipt, Transient)
        return
    assert isinstance(receipt, Permanent)
    assert receipt.scope is Scope.DESTINATION


async def test_a_refused_connection_is_transient_and_certain(rig: Rig) -> None:
    """When nothing listens, trying again can help and nothing can have arrived, which Apprise alone doesn't tell."""
    destination = rig.channel.parse(rig.config)
    await rig.stop_receiver()
    receipt = await rig.channel.send(destination, rig.channel.render(NOTIFICATION, destination))
    assert isinstance(receipt, Transient)
    assert receipt.reason is (Reason.CONNECTION if rig.tells_why else Reason.SERVER_ERROR)
    assert receipt.ambiguous is not rig.tells_why


async def test_a_receiver_that_never_answers_costs_no_more_than_the_deadline(rig: Rig) -> None:
    """The channel ends the attempt itself, inside the dispatcher's deadline, and says that the message may be there."""
    rig.hang()
    async with asyncio.timeout(rig.channel.deadline):
        receipt = await rig.deliver()
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.TIMEOUT
    assert receipt.ambiguous


@pytest.mark.parametrize("way", ["cut", "cut_the_answer"])
async def test_a_connection_cut_after_the_message_is_ambiguous(rig: Rig, way: str) -> None:
    """Without a whole answer nobody can know whether the message was taken."""
    getattr(rig, way)()
    receipt = await rig.deliver()
    assert isinstance(receipt, Transient)
    assert receipt.reason is (Reason.CONNECTION if rig.tells_why else Reason.SERVER_ERROR)
    assert receipt.ambiguous


async def test_an_answer_that_drips_costs_no_more_than_the_deadline(rig: Rig) -> None:
    """Bytes that keep coming do not extend the attempt."""
    rig.drip()
    async with asyncio.timeout(rig.channel.deadline):
        receipt = await rig.deliver()
    assert isinstance(receipt, Transient)
    assert (receipt.reason, receipt.ambiguous) == (Reason.TIMEOUT, True)


async def test_an_answer_of_a_megabyte_gives_a_short_receipt(rig: Rig) -> None:
    """However much a receiver has to say, one line of it is kept, and the next attempt delivers."""
    rig.fail_at_length()
    receipt = await rig.deliver()
    assert isinstance(receipt, Transient)
    assert len(receipt.detail) < 500
    assert isinstance(await rig.deliver(), Delivered)
    assert rig.taken() == 1


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


async def test_many_deliveries_at_once_all_arrive(rig: Rig) -> None:
    """Deliveries in parallel don't get in each other's way."""
    count = 25 if rig.name != "apprise" else 8  # each of its requests makes a TLS context and takes 30 ms of CPU
    receipts = await asyncio.gather(*(rig.deliver(replace(NOTIFICATION, key=f"q{number}")) for number in range(count)))
    assert [receipt for receipt in receipts if not isinstance(receipt, Delivered)] == []
    assert rig.taken() == count


async def test_connections_are_kept(rig: Rig) -> None:
    """Deliveries one after the other share one connection, unless the library opens one for each."""
    for _ in range(5):
        assert isinstance(await rig.deliver(), Delivered)
    made = (rig.mail if rig.name == "email" else rig.http).connections_made
    assert made == (1 if rig.name != "apprise" else 5)


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
    """Probing says that nothing listens instead of raising; Apprise's URL can only be read."""
    destination = rig.channel.parse(rig.config)
    await rig.stop_receiver()
    receipt = await rig.channel.probe(destination)
    if rig.name == "apprise":
        assert isinstance(receipt, Delivered)
        assert "only a message" in receipt.detail
        return
    assert isinstance(receipt, Transient)
    assert receipt.reason is Reason.CONNECTION


@pytest.mark.parametrize("config", JUNK, ids=[repr(junk)[:40] for junk in JUNK])
async def test_a_config_of_any_shape_is_refused_with_the_key_to_mend(rig: Rig, config: Any) -> None:
    """Whatever JSON stands in a setting, the result is a DestinationError of readable length that names a key."""
    with pytest.raises(DestinationError) as caught:
        rig.channel.parse(config)
    message = str(caught.value)
    assert len(message) < 500
    assert any(key in message for key in ("config", "to", "email", "webhook", "routing_key", "service_key", "url"))


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
    shown = re.sub("<[^>]*>", "", rig.shown())
    assert "merge_branch" in shown
    for gap in ("None", "null", '""', "()", "nan"):
        assert gap not in shown


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


DIGEST = replace(
    NOTIFICATION,
    digest=Digest(
        12,
        datetime(2026, 3, 1, 1, 58, 4, tzinfo=UTC),
        NOTIFICATION.alert.occurred_at,
        (NOTIFICATION.alert, replace(NOTIFICATION.alert, alert_id=15, factor=2.5, branch="feature/y")),
    ),
)


async def test_a_digest_says_how_many_how_long_and_how_bad(rig: Rig) -> None:
    """One message says the count, the period and the worst factor, and lists the worst of the alerts by name."""
    assert isinstance(await rig.deliver(DIGEST), Delivered)
    assert rig.taken() == 1
    shown = rig.shown()
    assert "12 alerts of merge_branch in 5 min, worst 4.2x" in shown
    assert "feature/y" in shown
    assert "2.5" in shown


async def test_a_note_stands_before_everything_else(rig: Rig) -> None:
    """A sentence that people must read is there, before the facts, in a message that is taken."""
    sentence = "sent here because #ops is broken: HTTP 404"
    assert isinstance(await rig.deliver(notification(note=sentence)), Delivered)
    shown = rig.shown()
    assert sentence in shown
    if rig.name != "webhook":  # its readers are programs: the note has a key of its own
        assert shown.index(sentence) < shown.index("523 ms" if rig.name == "slack" else "feature/x")


@pytest.mark.parametrize("event", [Event.ACKNOWLEDGED, Event.RESOLVED])
async def test_who_acknowledged_or_resolved_is_named(rig: Rig, event: Event) -> None:
    """People see by whom, and PagerDuty gets the action for the incident."""
    assert isinstance(await rig.deliver(replace(notification(actor="alice"), event=event)), Delivered)
    if rig.name == "pagerduty":
        assert list(rig.http.incidents.values()) == [[event.value.removesuffix("d")]]
    else:
        assert f"{event.value.capitalize()} by alice: merge_branch" in rig.shown()


async def test_an_alert_that_was_over_before_it_was_told_is_told_once(rig: Rig) -> None:
    """One message says when it began and when it was over."""
    began = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
    folded = replace(notification(began_at=began), event=Event.RESOLVED, folded=True)
    assert isinstance(await rig.deliver(folded), Delivered)
    if rig.name != "pagerduty":  # a resolve carries nothing, and nobody is called for what is over
        assert "began at 2026-03-01 01:00:00 UTC, over at 2026-03-01 02:03:04 UTC" in rig.shown()
    assert rig.taken() == 1


async def test_what_the_daemon_says_of_itself_has_no_empty_facts(rig: Rig) -> None:
    """A SYSTEM message is its sentence, under the program's name, without an operation or a duration."""
    said = "No measurement has arrived for 15 min; is the application still recording?"
    system = notification(alert_id=None, alert_type="SYSTEM", message=said, operation_type="heartbeat_of_some_kind")
    assert isinstance(await rig.deliver(system), Delivered)
    shown = rig.shown()
    assert said in shown
    assert "pggit-alertd" in shown or '"type": "system.triggered"' in shown
    for fact in ("heartbeat_of_some_kind", "523", "Operation", "Took"):
        assert fact not in shown


@pytest.mark.parametrize("hostile", NASTY, ids=[repr(text)[:24] for text in NASTY])
async def test_hostile_text_in_every_field_is_taken(rig: Rig, hostile: str) -> None:
    """A real receiver takes a digest with the nastiest texts we know in every field at once."""
    alert = replace(
        NOTIFICATION.alert,
        operation_type=hostile,
        alert_type=hostile,
        message=hostile,
        branch=hostile,
        user_name=hostile,
        operation_name=hostile,
        note=hostile,
        actor=hostile,
        factor=None,
        baseline_p99_us=None,
    )
    digest = Digest(3, alert.occurred_at, alert.occurred_at, (alert, alert, alert))
    what = replace(NOTIFICATION, alert=alert, digest=digest, key=hostile, dedup_key=hostile, group=hostile)
    for each in (what, replace(what, digest=None)):
        assert isinstance(await rig.deliver(each), Delivered)
    assert rig.taken() == 2
