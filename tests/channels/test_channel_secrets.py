"""What no channel lets out of a setting: not in receipts, not in logs, not in what a crash would print."""

import logging

import pytest

from channels.rig import NOTIFICATION, Rig
from pggit_alertd.model import Receipt


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


async def test_message_and_destination_print_without_secrets(rig: Rig) -> None:
    """What a crash could show of a destination or a rendered message holds no key, URL or password."""
    destination = rig.channel.parse(rig.config)
    shown = repr(destination) + repr(rig.channel)
    if rig.name != "pagerduty":
        shown += repr(rig.channel.render(NOTIFICATION, destination))
    for secret in rig.own_secrets[: 1 if rig.name == "email" else None]:
        assert secret not in shown
