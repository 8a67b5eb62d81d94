"""The generic webhook: what it sends is what docs/webhook.md says, can be verified as it says, and fails as it says."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.rig import BEARER, NOTIFICATION, SIGNING_SECRET, TOKEN, notification
from pggit_alertd.channels import Channel
from pggit_alertd.channels.signing import parse_secrets, signature
from pggit_alertd.channels.webhook import WebhookChannel
from pggit_alertd.demo.sinks import Answer, HttpRequest, HttpSink
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import (
    Alert,
    Delivered,
    Digest,
    Event,
    Notification,
    Permanent,
    Reason,
    Receipt,
    Scope,
    Transient,
)
from pggit_alertd.rendering import webhook as rendering

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "webhook.md").read_text()
Channels = dict[str, Channel[Any, Any]]
Configs = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def verify() -> Callable[..., bool]:
    """Return the receiver's function exactly as the document prints it."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/webhook.md", "exec"), names)  # noqa: S102 - our own document
    found: Callable[..., bool] = names["verify"]
    return found


async def deliver(channel: Channel[Any, Any], config: dict[str, Any], what: Notification = NOTIFICATION) -> Receipt:
    """Parse, render and send."""
    destination = channel.parse(config)
    return await channel.send(destination, channel.render(what, destination))


async def test_the_documented_example_verifies_what_arrives(
    channels: Channels, configs: Configs, http_sink: HttpSink, verify: Callable[..., bool]
) -> None:
    """A request is accepted with the secret, and refused when it is old, changed, signed otherwise or not at all."""
    await deliver(channels["webhook"], configs["webhook"])
    (request,) = http_sink.requests
    headers, body = dict(request.headers), request.body
    assert verify(SIGNING_SECRET, headers, body)
    assert not verify("whsec_" + "b" * 32, headers, body)
    assert not verify(SIGNING_SECRET, headers, body + b" ")
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert not verify(SIGNING_SECRET, {**headers, name: headers[name].replace("1", "2") + "0"}, body)
        assert not verify(SIGNING_SECRET, {key: value for key, value in headers.items() if key != name}, body)
    assert not verify(SIGNING_SECRET, headers, body, now=request.at + 400)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_documented_shell_command_gives_the_same_signature(tmp_path: Path) -> None:
    """What the document tells people to type computes what is sent."""
    body = rendering.body(NOTIFICATION, "pggit")
    (tmp_path / "body.json").write_bytes(body)
    (command,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    environment = {"ID": "msg_1", "TIMESTAMP": "1800000000", "SECRET": SIGNING_SECRET, "PATH": os.environ["PATH"]}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, check=True)  # noqa: S602
    expected = signature(parse_secrets(SIGNING_SECRET), "msg_1", 1_800_000_000, body)
    assert f"v1,{done.stdout.decode().strip()}" == expected


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Secret, id, time and body of the reference libraries' own test give their signature."""
    keys = parse_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_every_attempt_has_the_same_id_and_a_time_of_its_own(
    channels: Channels, configs: Configs, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver can drop a repetition by its id, and refuse one that somebody recorded."""
    channel = channels["webhook"]
    assert isinstance(channel, WebhookChannel)
    http_sink.script(Answer(503, "later"))
    for moment in (1_800_000_000.9, 1_800_000_030.1):
        monkeypatch.setattr(channel, "_now", lambda moment=moment: moment)
        await deliver(channel, configs["webhook"])
    await deliver(channel, configs["webhook"], replace(NOTIFICATION, event=Event.RESOLVED))
    first, second, other = http_sink.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] != other.headers["webhook-id"]
    assert [each.headers["webhook-timestamp"] for each in (first, second)] == ["1800000000", "1800000030"]
    assert first.body == second.body
    assert json.loads(first.body)["id"] == first.headers["webhook-id"]


def test_messages_that_say_something_else_have_another_id() -> None:
    """Another database's row of the same number, and a digest that has grown, are not dropped as copies."""
    digest = Digest(5, NOTIFICATION.alert.occurred_at, NOTIFICATION.alert.occurred_at, (NOTIFICATION.alert,))
    different = [
        NOTIFICATION,
        replace(NOTIFICATION, key="q2"),
        replace(NOTIFICATION, dedup_key="pggit-other-alert-12"),
        notification(operation_type="checkout"),
        replace(NOTIFICATION, digest=digest),
        replace(NOTIFICATION, digest=replace(digest, count=6)),
    ]
    assert len({rendering.message_id(each) for each in different}) == len(different)


async def test_two_secrets_give_two_signatures_each_of_which_verifies(
    channels: Channels, configs: Configs, http_sink: HttpSink, verify: Callable[..., bool]
) -> None:
    """While a secret is changed, receivers that know either of them accept the request."""
    plain = "an ordinary pass phrase, 30 chars"
    await deliver(channels["webhook"], {**configs["webhook"], "secret": [SIGNING_SECRET, plain]})
    (request,) = http_sink.requests
    assert request.headers["webhook-signature"].count("v1,") == 2
    assert verify(SIGNING_SECRET, dict(request.headers), request.body)
    assert verify(plain, dict(request.headers), request.body)


def test_secrets_are_read_as_they_were_meant() -> None:
    """The shortest and the longest are taken, blanks around a pasted one are none of it, and one given twice is one."""
    assert parse_secrets(" " + "x" * 16 + "\n") == (b"x" * 16,)
    assert parse_secrets(["y" * 256, "x" * 16, "y" * 256]) == (b"y" * 256, b"x" * 16)


async def test_without_a_secret_nothing_is_signed_and_headers_are_added(
    channels: Channels, configs: Configs, http_sink: HttpSink
) -> None:
    """The id and the time are there, no signature is, and the receiver's own header is."""
    config = {name: value for name, value in configs["webhook"].items() if name != "secret"}
    await deliver(channels["webhook"], config)
    (request,) = http_sink.requests
    assert "webhook-signature" not in request.headers
    assert request.headers["webhook-id"].startswith("msg_")
    assert request.headers["authorization"] == f"Bearer {BEARER}"
    assert request.headers["content-type"] == "application/json"


REPLIES = [
    *((Answer(status, body), (Delivered, status)) for status, body in ((200, ""), (201, "x"), (202, "{}"), (299, ""))),
    (Answer(429, ""), (Transient, Reason.RATE_LIMITED, 429, 30.0)),
    (Answer(429, "", {"Retry-After": "7"}), (Transient, Reason.RATE_LIMITED, 429, 7.0)),
    (Answer(503, "", {"Retry-After": "9"}), (Transient, Reason.SERVER_ERROR, 503, 9.0)),
    (Answer(503, ""), (Transient, Reason.SERVER_ERROR, 503, None)),
    (Answer(500, "oops"), (Transient, Reason.SERVER_ERROR, 500, None)),
    (Answer(502, ""), (Transient, Reason.SERVER_ERROR, 502, None)),
    (Answer(504, "", {"Retry-After": "9"}), (Transient, Reason.SERVER_ERROR, 504, None)),
    (Answer(599, ""), (Transient, Reason.SERVER_ERROR, 599, None)),
    (Answer(408, ""), (Transient, Reason.TIMEOUT, 408, None)),
    (Answer(425, ""), (Transient, Reason.TIMEOUT, 425, None)),
    (Answer(401, ""), (Permanent, Reason.AUTH, 401, Scope.DESTINATION)),
    (Answer(403, ""), (Permanent, Reason.AUTH, 403, Scope.DESTINATION)),
    (Answer(404, ""), (Permanent, Reason.DESTINATION_GONE, 404, Scope.DESTINATION)),
    (Answer(410, ""), (Permanent, Reason.DESTINATION_GONE, 410, Scope.DESTINATION)),
    (
        Answer(301, "", {"Location": "http://169.254.169.254/"}),
        (Permanent, Reason.CLIENT_ERROR, 301, Scope.DESTINATION),
    ),
    *(
        (Answer(status, "no"), (Permanent, Reason.REFUSED_MESSAGE, status, Scope.MESSAGE))
        for status in (400, 402, 405, 409, 413, 415, 422, 431)
    ),
]


@pytest.mark.parametrize(("answer", "expected"), REPLIES, ids=[f"{a.status}-{','.join(a.headers)}" for a, _ in REPLIES])
async def test_replies_mean_what_the_document_says(
    channels: Channels, configs: Configs, http_sink: HttpSink, answer: Answer, expected: tuple[Any, ...]
) -> None:
    """Each reply is classed as in its row, and is asked for once."""
    http_sink.always(answer)
    receipt = await deliver(channels["webhook"], configs["webhook"])
    match receipt:
        case Delivered():
            assert (Delivered, receipt.code) == expected
        case Transient():
            assert (Transient, receipt.reason, receipt.code, receipt.retry_after) == expected
            assert not receipt.ambiguous
        case Permanent():
            assert (Permanent, receipt.reason, receipt.code, receipt.scope) == expected
    assert http_sink.received == 1


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, '"url"'),
        ({"url": "http://example.com/x"}, '"url" uses http'),
        ({"url": "https://10.0.0.1/x"}, '"url" names a private'),
        ({"url": "https://user:pw@example.com/x"}, '"url" must not hold'),
        ({"url": "ftp://example.com/x"}, '"url" must be'),
        ({"url": ["https://example.com/x"]}, '"url" must hold'),
        ({"secret": "x" * 15}, '"secret" is 15 bytes'),
        ({"secret": ""}, '"secret" is 0 bytes'),
        ({"secret": "x" * 257}, '"secret" is 257 bytes'),
        ({"secret": "whsec_!!!"}, "not Base64"),
        ({"secret": "whsec_YWJj"}, '"secret" is 3 bytes'),
        ({"secret": 7}, '"secret" must be text'),
        ({"secret": []}, '"secret" must be text'),
        ({"secret": ["a" * 20] * 5}, '"secret" must be text'),
        ({"secret": ["a" * 20, 7]}, '"secret" must be text'),
        ({"headers": []}, '"headers" must be'),
        ({"headers": {f"x-{number}": "v" for number in range(21)}}, '"headers" must be'),
        ({"headers": {"": "v"}}, '"headers" has a name'),
        ({"headers": {"x y": "v"}}, '"headers" has a name'),
        ({"headers": {"x\r\nHost": "v"}}, '"headers" has a name'),
        ({"headers": {"X-A": "v", "x-a": "w"}}, '"headers" has a name'),
        ({"headers": {"Host": "v"}}, '"headers" names host'),
        ({"headers": {"Webhook-Signature": "v"}}, '"headers" names webhook-signature'),
        ({"headers": {"Transfer-Encoding": "chunked"}}, '"headers" names transfer-encoding'),
        ({"headers": {"x": "v\r\nBcc: c4n4ry"}}, '"headers" has a value'),
        ({"headers": {"x": "é"}}, '"headers" has a value'),
        ({"headers": {"x": 7}}, '"headers" has a value'),
        ({"headers": {"x": "v" * 5000}}, '"headers" has a value'),
    ],
)
async def test_configs_that_can_not_work_name_the_key_to_mend(config: dict[str, Any], key: str) -> None:
    """The error says which key is wrong and never repeats a value."""
    made = WebhookChannel(_no_client(), deadline=1.0)
    if "url" not in config and key != '"url"':
        config = {"url": "https://example.com/hooks/x", **config}
    with pytest.raises(DestinationError) as caught:
        made.parse(config)
    assert key in str(caught.value)
    assert "c4n4ry" not in str(caught.value)


def _no_client() -> Any:
    return None  # parsing touches no network


async def test_a_receiver_that_echoes_the_request_learns_us_nothing(
    channels: Channels, configs: Configs, http_sink: HttpSink
) -> None:
    """Secret, its Base64, header value and URL are taken out of what is quoted."""
    bare = SIGNING_SECRET.removeprefix("whsec_")
    http_sink.script(Answer(500, f"{SIGNING_SECRET} {bare} Bearer {BEARER} /hooks/{TOKEN}"))
    receipt = await deliver(channels["webhook"], configs["webhook"])
    assert isinstance(receipt, Transient)
    for secret in (SIGNING_SECRET, bare, BEARER, TOKEN):
        assert secret not in receipt.detail


def _keys(value: Any, prefix: str) -> set[str]:
    found: set[str] = set()
    for name, inner in value.items():
        found.add(f"{prefix}{name}")
        if name == "alert":
            found |= _keys(inner, "alert.")
        elif name == "worst":
            found |= {key for each in inner for key in _keys(each, "alert.")}
        elif isinstance(inner, dict):
            found |= _keys(inner, f"{prefix}{name}.")
    return found


def test_the_document_lists_exactly_the_keys_that_are_sent() -> None:
    """A fullest message has every documented key and no other; the sparsest has those that are always there."""
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \| [a-z]+ \| (yes|no) \|", DOCUMENT, flags=re.MULTILINE)
    documented = dict(rows)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    full: Alert = replace(
        NOTIFICATION.alert,
        operation_name="x",
        metric_id=3,
        escalated=True,
        note="read me",
        actor="alice",
        began_at=now,
    )
    fullest = replace(
        NOTIFICATION, alert=full, event=Event.RESOLVED, digest=Digest(2, now, now, (full, NOTIFICATION.alert))
    )
    sent = _keys(json.loads(rendering.body(fullest, "pggit")), "")
    assert sent == set(documented)
    sparse = replace(NOTIFICATION, alert=Alert(None, "", "SYSTEM", full.severity, "", now))
    always = {name for name, when in documented.items() if when == "yes" and not name.startswith("data.digest.")}
    assert _keys(json.loads(rendering.body(sparse, "")), "") == always


async def test_a_request_can_be_read_by_its_type(channels: Channels, configs: Configs, http_sink: HttpSink) -> None:
    """The type names the event and whether the daemon speaks about itself."""
    for what in (NOTIFICATION, replace(NOTIFICATION, event=Event.ACKNOWLEDGED), notification(alert_type="SYSTEM")):
        await deliver(channels["webhook"], configs["webhook"], what)
    requests: list[HttpRequest] = list(http_sink.requests)
    assert [each.json()["type"] for each in requests] == ["alert.triggered", "alert.acknowledged", "system.triggered"]
