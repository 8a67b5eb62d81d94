"""Apprise: loaded when needed, one URL at a time, kept to the deadline, and kept away from what it must not reach."""

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from channels.rig import NOTIFICATION, TOKEN
from pggit_alertd.channels import recipient_digest
from pggit_alertd.channels.apprise import GENERIC, LOCAL, AppriseChannel
from pggit_alertd.demo.sinks import Answer, HttpSink
from pggit_alertd.errors import DestinationError
from pggit_alertd.model import Delivered, Notification, Permanent, Reason, Receipt, Scope, Transient


def channel(**more: Any) -> AppriseChannel:
    """Return a channel that may reach loopback."""
    return AppriseChannel(**{"deadline": 3.0, "allow_insecure": True, **more})


def url(sink: HttpSink, name: str = TOKEN) -> str:
    """Return the Apprise URL of one of the sink's endpoints."""
    return f"json://127.0.0.1:{sink.port}/hooks/{name}"


async def deliver(made: AppriseChannel, urls: object, what: Notification = NOTIFICATION) -> Receipt:
    """Parse, render and send."""
    destination = made.parse({"urls": urls})
    return await made.send(destination, made.render(what, destination))


def test_the_library_is_not_loaded_until_it_is_needed() -> None:
    """Building every channel and reading a setting of this one imports nothing of Apprise."""
    code = (
        "import sys; from pggit_alertd.channels import ChannelOptions, build\n"
        "made = build(ChannelOptions())['apprise']\n"
        "made.parse({'url': 'discord://id/token'})\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in {'apprise', 'requests', 'urllib3'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, a setting can't be used and says why."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(DestinationError, match=r"pip install 'pggit-alertd\[apprise\]'"):
        channel().parse({"url": "discord://id/token"})


async def test_who_has_the_message_does_not_get_it_again(http_sink: HttpSink) -> None:
    """After one of three said no, the next attempt goes to that one alone."""
    made = channel()
    urls = [url(http_sink, name) for name in ("first", "second", "third")]
    http_sink.script(Answer(500, "no"), path="second")
    receipt = await deliver(made, urls)
    assert isinstance(receipt, Transient)
    assert receipt.settled == {recipient_digest(urls[0]), recipient_digest(urls[2])}
    assert isinstance(await deliver(made, urls, replace(NOTIFICATION, settled=receipt.settled)), Delivered)
    paths = sorted(request.path for request in http_sink.requests)
    assert paths == ["/hooks/first", "/hooks/second", "/hooks/second", "/hooks/third"]
    everybody = frozenset(map(recipient_digest, urls))
    assert isinstance(await deliver(made, urls, replace(NOTIFICATION, settled=everybody)), Delivered)
    assert http_sink.received == 4


async def test_a_url_that_is_no_use_does_not_stop_the_others(http_sink: HttpSink) -> None:
    """One that Apprise can't read is reported, and the message counts as delivered by those that took it."""
    receipt = await deliver(channel(), [url(http_sink), "slack://nonsense"])
    assert isinstance(receipt, Delivered)
    (refused,) = receipt.refused
    assert "does not understand this slack:// URL" in refused
    assert "nonsense" not in refused
    assert receipt.detail == f"1 taken; refused: {refused}"


async def test_a_url_that_apprise_can_not_read_is_an_invalid_setting() -> None:
    """The destination is condemned, by sending and by probing alike, and the URL is not shown."""
    made = channel()
    destination = made.parse({"url": f"slack://{TOKEN}"})
    for receipt in (
        await made.send(destination, made.render(NOTIFICATION, destination)),
        await made.probe(destination),
    ):
        assert isinstance(receipt, Permanent)
        assert (receipt.reason, receipt.scope) == (Reason.INVALID_SETTING, Scope.DESTINATION)
        assert TOKEN not in receipt.detail


async def test_the_plugins_complaint_is_in_the_receipt(http_sink: HttpSink, capfd: pytest.CaptureFixture[str]) -> None:
    """What the plugin logs reaches the operator with the receipt, scrubbed, and nothing of it reaches a stream."""
    http_sink.always(Answer(503, "later"))
    receipt = await deliver(channel(), url(http_sink))
    assert isinstance(receipt, Transient)
    assert "503" in receipt.detail
    assert TOKEN not in receipt.detail
    written = capfd.readouterr()
    assert written.out + written.err == ""


async def test_busy_threads_make_others_wait_no_longer_than_the_deadline(http_sink: HttpSink) -> None:
    """While every thread hangs, an attempt ends as one that was never made; afterwards all is as before."""
    made = channel(deadline=0.6, threads=1)
    http_sink.always(Answer(hang=True))
    stuck = asyncio.create_task(deliver(made, url(http_sink)))
    await http_sink.wait_for(1)
    receipt = await deliver(made, url(http_sink))
    assert isinstance(receipt, Transient)
    assert (receipt.reason, receipt.ambiguous) == (Reason.TIMEOUT, False)
    assert isinstance(await stuck, Transient)
    http_sink.always(None)
    http_sink.drop_connections()
    async with asyncio.timeout(10):
        while not isinstance(await deliver(made, url(http_sink)), Delivered):
            pass


async def test_threads_never_hold_up_the_end_of_the_process(http_sink: HttpSink) -> None:
    """A thread that hangs is a daemon's, and ends by the plugin's own time-out after its delivery was cancelled."""
    http_sink.always(Answer(hang=True))
    delivery = asyncio.create_task(deliver(channel(), url(http_sink)))
    await http_sink.wait_for(1)
    hanging = [thread for thread in threading.enumerate() if thread.name == "apprise"]
    assert hanging
    assert all(thread.daemon for thread in hanging)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    async with asyncio.timeout(10):
        await http_sink.deserted()


@pytest.mark.parametrize("scheme", sorted(GENERIC | LOCAL))
def test_schemes_that_reach_any_address_or_this_machine_need_the_switch(scheme: str) -> None:
    """They are refused by name, with the switch that allows them, and read where it is set."""
    with pytest.raises(DestinationError, match=rf"{scheme}://.*PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS"):
        channel(allow_insecure=False).parse({"url": f"{scheme.upper()}://example.com/x"})
    assert channel().parse({"url": f"{scheme}://example.com/x"}).schemes == (scheme,)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("gotify://gotify.example.com/AbCdEfGhIjKlMnO", "not encrypted"),
        ("rsyslog://192.0.2.1", "not encrypted"),
        ("gotifys://127.0.0.1/AbCdEfGhIjKlMnO", "private or local"),
        ("gotifys://localhost/AbCdEfGhIjKlMnO", "private or local"),
        ("gotifys://10.1.2.3/AbCdEfGhIjKlMnO", "private or local"),
        ("ntfys://[::1]/topic", "private or local"),
        ("gotifys://192.0.2.1/AbCdEfGhIjKlMnO?verify=no", "verify=no"),
    ],
)
async def test_addresses_inside_and_clear_text_need_the_switch(address: str, complaint: str) -> None:
    """What the plugin would connect to is looked at before it may, as far as its URL tells."""
    made = channel(allow_insecure=False)
    receipt = await deliver(made, address)
    assert isinstance(receipt, Permanent)
    assert (receipt.reason, receipt.scope) == (Reason.INVALID_SETTING, Scope.DESTINATION)
    assert complaint in receipt.detail
    assert "PGGIT_ALERTD_ALLOW_INSECURE_DESTINATIONS" in receipt.detail
    assert isinstance(await channel().probe(channel().parse({"url": address})), Delivered)


@pytest.mark.parametrize("address", ["discord://123456789/AbCdEfGhIjKlMnO", "gotifys://8.8.8.8/AbCdEfGhIjKlMnO"])
async def test_services_on_the_internet_need_no_switch(address: str) -> None:
    """A service with an API of its own, and a public host over TLS, are fine; probing sends nothing."""
    made = channel(allow_insecure=False)
    assert isinstance(await made.probe(made.parse({"url": address})), Delivered)


async def test_redirects_are_followed_only_with_the_switch(http_sink: HttpSink) -> None:
    """The plugin is told not to go where a receiver points, whatever its URL says."""
    from pggit_alertd.channels import apprise_library

    address = "gotifys://8.8.8.8/AbCdEfGhIjKlMnO?redirect=yes&retry=5&rto=900"
    plugin = apprise_library.service(address, 3.0, allow_insecure=False)
    assert (plugin.redirects, plugin.retry, plugin.socket_read_timeout) == (False, 0, 3.0)
    assert http_sink.received == 0


@pytest.mark.parametrize(
    "value",
    ["", "no url", "://x", "https://example.com/x", "json://a b", "json://x\r\ny", "j" * 3000, 7, [], [7], ["x"] * 21],
)
def test_what_is_no_apprise_url_is_refused_by_its_key(value: Any) -> None:
    """The error names the key and shows an example or the way out."""
    with pytest.raises(DestinationError, match='"url"'):
        channel().parse({"url": value})
