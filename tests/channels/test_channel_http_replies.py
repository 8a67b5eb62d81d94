"""Every row of the reply tables of Slack and PagerDuty, and what goes wrong below HTTP."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.conftest import Certificates
from channels.rig import NOTIFICATION, ROUTING_KEY, TOKEN, notification
from pggit_alertd.channels import Channel, ChannelOptions, build, slack
from pggit_alertd.channels.endpoints import endpoint
from pggit_alertd.channels.http import BODY_LIMIT, RETRY_AFTER_LIMIT, HttpClient, Reply, parse_retry_after
from pggit_alertd.channels.pagerduty import PagerDutyChannel
from pggit_alertd.demo.sinks import Answer, HttpSink
from pggit_alertd.model import Delivered, Event, Permanent, Reason, Receipt, Scope, Severity, Transient
from pggit_alertd.rendering import pagerduty

Channels = dict[str, Channel[Any, Any]]
Configs = dict[str, dict[str, Any]]
Shape = tuple[Any, ...]

GONE = sorted(slack.GONE)
REFUSED = sorted(slack.REFUSED)
BAD_WORDS = [(status, word) for status in (200, 400) for word in REFUSED]
JSON_429 = '{"retry_after":7,"ok":false,"error":"rate_limited"}'
PD_KEY = (
    '{"status":"invalid event","message":"Event object is invalid","errors":["Length of \'routing_key\' is incorrect"]}'
)
PD_SUMMARY = '{"status":"invalid event","errors":["\'summary\' is too long (maiximum is 1024 characters)"]}'


def transient(
    reason: Reason, code: int, retry_after: float | None = None, *, ambiguous: bool = False
) -> tuple[Any, ...]:
    """Return a Transient receipt without its wording."""
    return (Transient, reason, code, retry_after, ambiguous)


def permanent(reason: Reason, code: int, scope: Scope) -> Shape:
    """Return a Permanent receipt without its wording."""
    return (Permanent, reason, code, scope)


def shape(receipt: Receipt) -> Shape:
    """Return a receipt without its wording."""
    if isinstance(receipt, Transient):
        return transient(receipt.reason, receipt.code or 0, receipt.retry_after, ambiguous=receipt.ambiguous)
    if isinstance(receipt, Permanent):
        return permanent(receipt.reason, receipt.code or 0, receipt.scope)
    return (Delivered, receipt.code)


SLACK_TABLE = [
    (Answer(200, "ok"), (Delivered, 200)),
    (Answer(200, "OK, thanks"), transient(Reason.UNEXPECTED_REPLY, 200, ambiguous=True)),
    (Answer(200, ""), transient(Reason.UNEXPECTED_REPLY, 200, ambiguous=True)),
    (Answer(204, ""), transient(Reason.UNEXPECTED_REPLY, 204, ambiguous=True)),
    (Answer(429, "", {"Retry-After": "5"}), transient(Reason.RATE_LIMITED, 429, 5.0)),
    (Answer(429, JSON_429, {"Retry-After": "5"}), transient(Reason.RATE_LIMITED, 429, 5.0)),
    (Answer(429, JSON_429), transient(Reason.RATE_LIMITED, 429, 7.0)),
    (Answer(429, "slow down"), transient(Reason.RATE_LIMITED, 429, 30.0)),
    (Answer(429, "[]", {"Retry-After": "soon"}), transient(Reason.RATE_LIMITED, 429, 30.0)),
    (Answer(429, "", {"Retry-After": "99999999"}), transient(Reason.RATE_LIMITED, 429, RETRY_AFTER_LIMIT)),
    (Answer(500, "rollup_error"), transient(Reason.SERVER_ERROR, 500)),
    (Answer(502, "<html>"), transient(Reason.SERVER_ERROR, 502)),
    (Answer(503, "", {"Retry-After": "12"}), transient(Reason.SERVER_ERROR, 503, 12.0)),
    (Answer(504, ""), transient(Reason.SERVER_ERROR, 504)),
    (Answer(408, ""), transient(Reason.TIMEOUT, 408)),
    (Answer(404, ""), permanent(Reason.DESTINATION_GONE, 404, Scope.DESTINATION)),
    (Answer(410, "gone"), permanent(Reason.DESTINATION_GONE, 410, Scope.DESTINATION)),
    (Answer(403, ""), permanent(Reason.AUTH, 403, Scope.DESTINATION)),
    (Answer(401, ""), permanent(Reason.AUTH, 401, Scope.DESTINATION)),
    (Answer(302, "", {"Location": "http://169.254.169.254/"}), permanent(Reason.CLIENT_ERROR, 302, Scope.DESTINATION)),
    (Answer(405, ""), permanent(Reason.CLIENT_ERROR, 405, Scope.DESTINATION)),
    (Answer(413, ""), permanent(Reason.REFUSED_MESSAGE, 413, Scope.MESSAGE)),
    (Answer(400, '{"ok":false,"error":"no_service"}'), permanent(Reason.DESTINATION_GONE, 400, Scope.DESTINATION)),
    *((Answer(200, word), permanent(Reason.DESTINATION_GONE, 200, Scope.DESTINATION)) for word in GONE),
    *((Answer(400, word), permanent(Reason.DESTINATION_GONE, 400, Scope.DESTINATION)) for word in GONE),
    *((Answer(403, word), permanent(Reason.DESTINATION_GONE, 403, Scope.DESTINATION)) for word in GONE),
    *((Answer(status, word), permanent(Reason.REFUSED_MESSAGE, status, Scope.MESSAGE)) for status, word in BAD_WORDS),
    (Answer(400, "a word nobody knows"), permanent(Reason.REFUSED_MESSAGE, 400, Scope.MESSAGE)),
    (Answer(404, "channel_not_found"), permanent(Reason.DESTINATION_GONE, 404, Scope.DESTINATION)),
    (Answer(410, "channel_is_archived"), permanent(Reason.DESTINATION_GONE, 410, Scope.DESTINATION)),
    (Answer(425, ""), transient(Reason.TIMEOUT, 425)),
    (Answer(500, "channel_not_found"), transient(Reason.SERVER_ERROR, 500)),
    (Answer(503, ""), transient(Reason.SERVER_ERROR, 503)),
    (Answer(429, "", {"Retry-After": "0"}), transient(Reason.RATE_LIMITED, 429, 0.0)),
]

PAGERDUTY_TABLE = [
    (Answer(202, "{}"), (Delivered, 202)),
    (Answer(200, "{}"), transient(Reason.UNEXPECTED_REPLY, 200, ambiguous=True)),
    (Answer(429, "Request Limit Exceeded"), transient(Reason.RATE_LIMITED, 429, 30.0)),
    (Answer(429, "", {"Retry-After": "3"}), transient(Reason.RATE_LIMITED, 429, 3.0)),
    (Answer(500, ""), transient(Reason.SERVER_ERROR, 500)),
    (Answer(503, ""), transient(Reason.SERVER_ERROR, 503)),
    (Answer(408, ""), transient(Reason.TIMEOUT, 408)),
    (Answer(400, PD_KEY), permanent(Reason.AUTH, 400, Scope.DESTINATION)),
    (Answer(400, PD_SUMMARY), permanent(Reason.REFUSED_MESSAGE, 400, Scope.MESSAGE)),
    (Answer(400, "not JSON"), permanent(Reason.REFUSED_MESSAGE, 400, Scope.MESSAGE)),
    (Answer(413, ""), permanent(Reason.REFUSED_MESSAGE, 413, Scope.MESSAGE)),
    (Answer(401, ""), permanent(Reason.AUTH, 401, Scope.DESTINATION)),
    (Answer(403, ""), permanent(Reason.AUTH, 403, Scope.DESTINATION)),
    (Answer(404, ""), permanent(Reason.DESTINATION_GONE, 404, Scope.DESTINATION)),
    (Answer(301, ""), permanent(Reason.CLIENT_ERROR, 301, Scope.DESTINATION)),
    *(
        (Answer(status, ""), permanent(Reason.CLIENT_ERROR, status, Scope.DESTINATION))
        for status in (402, 405, 406, 422)
    ),
    (Answer(410, ""), permanent(Reason.DESTINATION_GONE, 410, Scope.DESTINATION)),
    (Answer(425, ""), transient(Reason.TIMEOUT, 425)),
    (Answer(502, ""), transient(Reason.SERVER_ERROR, 502)),
    (Answer(503, "", {"Retry-After": "9"}), transient(Reason.SERVER_ERROR, 503, 9.0)),
    (Answer(504, "", {"Retry-After": "9"}), transient(Reason.SERVER_ERROR, 504)),
]


def _names(table: list[tuple[Answer, tuple[Any, ...]]]) -> list[str]:
    return [f"{answer.status}-{answer.body!r:.30}-{','.join(answer.headers)}" for answer, _ in table]


async def _deliver(channels: Channels, configs: Configs, name: str) -> Receipt:
    channel = channels[name]
    destination = channel.parse(configs[name])
    return await channel.send(destination, channel.render(NOTIFICATION, destination))


@pytest.mark.parametrize(("answer", "expected"), SLACK_TABLE, ids=_names(SLACK_TABLE))
async def test_slack_replies_mean_what_the_table_says(
    channels: Channels, configs: Configs, http_sink: HttpSink, answer: Answer, expected: tuple[Any, ...]
) -> None:
    """Each reply of an incoming webhook is classed as in its row."""
    http_sink.always(answer)
    assert shape(await _deliver(channels, configs, "slack")) == expected


@pytest.mark.parametrize(("answer", "expected"), PAGERDUTY_TABLE, ids=_names(PAGERDUTY_TABLE))
async def test_pagerduty_replies_mean_what_the_table_says(
    channels: Channels, configs: Configs, http_sink: HttpSink, answer: Answer, expected: tuple[Any, ...]
) -> None:
    """Each reply of the Events API is classed as in its row."""
    http_sink.always(answer)
    assert shape(await _deliver(channels, configs, "pagerduty")) == expected


@pytest.mark.parametrize(
    ("name", "answer"), [("slack", Answer(400, "invalid_blocks")), ("pagerduty", Answer(400, PD_SUMMARY))]
)
async def test_a_refused_message_is_sent_once_more_in_its_smallest_form(
    channels: Channels, configs: Configs, http_sink: HttpSink, name: str, answer: Answer
) -> None:
    """The second form is smaller, is taken, and the receipt says why it was needed."""
    http_sink.script(answer)
    receipt = await _deliver(channels, configs, name)
    assert isinstance(receipt, Delivered)
    assert "refused" in receipt.detail
    first, second = (request.body for request in http_sink.requests)
    assert len(second) < len(first)
    assert b"blocks" not in second
    assert b"custom_details" not in second


@pytest.mark.parametrize("name", ["slack", "pagerduty"])
async def test_a_message_that_is_refused_in_both_forms_is_tried_twice_and_no_more(
    channels: Channels, configs: Configs, http_sink: HttpSink, name: str
) -> None:
    """The smallest form is the last."""
    http_sink.always(Answer(400, "no"))
    assert isinstance(await _deliver(channels, configs, name), Permanent)
    assert http_sink.received == 2


@pytest.mark.parametrize("name", ["slack", "pagerduty"])
async def test_a_smaller_form_that_meets_an_outage_is_tried_again_later(
    channels: Channels, configs: Configs, http_sink: HttpSink, name: str
) -> None:
    """What the second request met decides."""
    http_sink.script(Answer(400, "no"), Answer(503, ""))
    assert isinstance(await _deliver(channels, configs, name), Transient)


async def test_an_answer_of_any_length_is_read_only_so_far(
    channels: Channels, configs: Configs, http_sink: HttpSink
) -> None:
    """A receiver that sends megabytes costs BODY_LIMIT of memory and gets a short line in the receipt."""
    http_sink.script(Answer(503, b"x y " * (BODY_LIMIT * 4)))
    receipt = await _deliver(channels, configs, "slack")
    assert isinstance(receipt, Transient)
    assert len(receipt.detail) < 400
    assert isinstance(await _deliver(channels, configs, "slack"), Delivered)


@pytest.mark.parametrize(
    "garbage", [b"HTTP/9.9 what\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"]
)
async def test_an_answer_that_is_not_http_is_a_transient_failure(channels: Channels, garbage: bytes) -> None:
    """Whatever else listens there, the channel neither hangs nor raises."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(garbage)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    channel = channels["slack"]
    destination = channel.parse({"webhook": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"})
    receipt = await channel.send(destination, channel.render(NOTIFICATION, destination))
    server.close()
    await server.wait_closed()
    assert isinstance(receipt, Transient)
    assert receipt.ambiguous


async def test_a_redirect_is_not_followed(channels: Channels, configs: Configs, http_sink: HttpSink) -> None:
    """One request is all there is, wherever the reply points."""
    http_sink.script(Answer(307, "", {"Location": f"{http_sink.url}/elsewhere"}))
    assert isinstance(await _deliver(channels, configs, "slack"), Permanent)
    assert http_sink.received == 1


async def test_requests_carry_what_receivers_need_and_no_cookie(
    channels: Channels, configs: Configs, http_sink: HttpSink
) -> None:
    """User-Agent, content type and length are there, and a cookie set by a receiver never comes back."""
    http_sink.script(Answer(200, "ok", {"Set-Cookie": "track=me; Path=/"}))
    await _deliver(channels, configs, "slack")
    await _deliver(channels, configs, "slack")
    for request in http_sink.requests:
        assert request.headers["user-agent"].startswith("pggit-alertd/")
        assert request.headers["content-type"] == "application/json"
        assert "cookie" not in request.headers


async def test_proxies_of_the_environment_are_ignored(
    channels: Channels, configs: Configs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy variable does not divert a webhook."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert isinstance(await _deliver(channels, configs, "slack"), Delivered)


async def test_tls_is_verified(certificates: Any, http_sink: HttpSink) -> None:
    """A receiver whose certificate we trust is delivered to; one we don't know gets nothing and may be mended."""
    async with HttpSink(tls=certificates.server) as sink:
        for context, expected in ((certificates.client, Delivered), (certificates.stranger, Transient)):
            made = build(
                ChannelOptions(
                    pagerduty_url=sink.url, allow_insecure_destinations=True, http_deadline=5, tls_context=context
                )
            )
            channel = made["slack"]
            destination = channel.parse({"webhook": sink.slack_url()})
            receipt = await channel.send(destination, channel.render(NOTIFICATION, destination))
            probed = await channel.probe(destination)
            assert isinstance(receipt, expected)
            assert isinstance(probed, expected)
            if isinstance(receipt, Transient):
                assert (receipt.reason, receipt.ambiguous) == (Reason.TLS, False)
                assert sink.received == 1
            for each in made.values():
                await each.aclose()
    assert http_sink.received == 0


async def test_a_certificate_for_another_name_stops_the_message(certificates: Certificates) -> None:
    """A receiver that proves to be somebody else gets nothing, and it may be mended."""
    async with HttpSink(tls=certificates.misnamed) as sink:
        made = build(
            ChannelOptions(
                pagerduty_url=sink.url,
                allow_insecure_destinations=True,
                http_deadline=5,
                tls_context=certificates.client,
            )
        )
        for name, config in (
            ("slack", {"webhook": sink.slack_url(TOKEN)}),
            ("pagerduty", {"routing_key": ROUTING_KEY}),
            ("webhook", {"url": sink.hook_url(TOKEN)}),
        ):
            destination = made[name].parse(config)
            receipt = await made[name].send(destination, made[name].render(NOTIFICATION, destination))
            assert isinstance(receipt, Transient)
            assert (receipt.reason, receipt.ambiguous) == (Reason.TLS, False)
            assert TOKEN not in receipt.detail
        assert sink.received == 0
        for each in made.values():
            await each.aclose()


async def test_an_unknown_host_is_transient_and_certain(channels: Channels) -> None:
    """A name that can't be resolved may be resolvable later, and nothing has been sent."""
    channel = channels["slack"]
    destination = channel.parse({"webhook": f"http://no-such-host.invalid/{TOKEN}"})
    receipt = await channel.send(destination, channel.render(NOTIFICATION, destination))
    assert isinstance(receipt, Transient)
    assert not receipt.ambiguous
    assert receipt.reason in {Reason.CONNECTION, Reason.TIMEOUT}
    assert TOKEN not in receipt.detail


async def test_repeated_events_fold_into_one_incident(
    channels: Channels, configs: Configs, http_sink: HttpSink
) -> None:
    """The same notification sent twice carries the same dedup key, and acknowledge and resolve name it too."""
    channel = channels["pagerduty"]
    destination = channel.parse(configs["pagerduty"])
    for event in (Event.TRIGGERED, Event.TRIGGERED, Event.ACKNOWLEDGED, Event.RESOLVED):
        await channel.send(destination, channel.render(replace(NOTIFICATION, event=event), destination))
    assert list(http_sink.incidents.values()) == [["trigger", "trigger", "acknowledge", "resolve"]]


async def test_only_a_pause_that_pagerduty_told_no_time_for_may_grow(http_sink: HttpSink) -> None:
    """A 429 without a time asks for 30 s, or longer if it follows another; one with a time for just that."""
    client = HttpClient(deadline=5.0, user_agent="test", allow_insecure=True)
    enqueue = endpoint(f"{http_sink.url}/v2/enqueue", key="x", allow_insecure=True)
    channel = PagerDutyChannel(client, enqueue, deadline=5.0)
    destination = channel.parse({"routing_key": ROUTING_KEY})
    message = channel.render(NOTIFICATION, destination)
    http_sink.script(Answer(429, "Request Limit Exceeded"), Answer(429, "", {"Retry-After": "3"}))
    receipts = [await channel.send(destination, message) for _ in range(2)]
    assert [(each.retry_after, each.grows) for each in receipts if isinstance(each, Transient)] == [
        (30.0, True),
        (3.0, False),
    ]
    await channel.aclose()


async def test_slack_says_channel_and_colour(channels: Channels, configs: Configs, http_sink: HttpSink) -> None:
    """The payload names the configured channel and colours the bar by severity; text stands beside the blocks."""
    channel = channels["slack"]
    destination = channel.parse(configs["slack"])
    for severity in Severity:
        await channel.send(destination, channel.render(notification(severity=severity), destination))
    sent = [request.json() for request in http_sink.requests]
    assert {payload["channel"] for payload in sent} == {"#pgit-alerts"}
    assert [payload["attachments"][0]["color"] for payload in sent] == ["danger", "warning", "#439FE0"]
    assert all(
        "4.2x" in payload["text"] and "523 ms" in payload["text"] and "124 ms" in payload["text"] for payload in sent
    )


def test_pagerduty_events_hold_what_the_api_wants() -> None:
    """Severity, time of detection, component, group and class are where the API expects them."""
    event = json.loads(pagerduty.event(NOTIFICATION, "k" * 32, "pggit"))
    assert event["dedup_key"] == "pggit-alert-12"
    payload = event["payload"]
    assert payload["severity"] == "critical"
    assert payload["timestamp"] == "2026-03-01T02:03:04.567Z"
    assert (payload["component"], payload["group"], payload["class"]) == (
        "merge_branch",
        "feature/x",
        "THRESHOLD_EXCEEDED",
    )
    assert payload["custom_details"]["factor"] == 4.2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("1.5", 1.5),
        (7, 7.0),
        ("Sun, 01 Mar 2026 02:04:04 GMT", 60.0),
        ("Sun, 01 Mar 2026 02:00:00 GMT", 0.0),
        ("nan", None),
        ("inf", RETRY_AFTER_LIMIT),
        ("tomorrow", None),
        ("", None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form_and_bounded(value: object, seconds: float | None) -> None:
    """Seconds, a date or nonsense give a number of seconds within bounds, or nothing."""
    assert parse_retry_after(value, datetime(2026, 3, 1, 2, 3, 4, tzinfo=UTC)) == seconds


def test_words_are_found_in_json_and_text() -> None:
    """A refusal's word counts whether it stands alone or in a JSON error."""
    expected = permanent(Reason.DESTINATION_GONE, 403, Scope.DESTINATION)
    for body in (b"invalid_token", b"invalid_token\n", b'{"ok":false,"error":"invalid_token"}'):
        assert shape(slack.classify(Reply(403, body, None))) == expected
