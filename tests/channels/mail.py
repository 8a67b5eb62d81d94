"""Addresses, and a delivery by email, for tests."""

from channels.rig import NOTIFICATION
from pggit_alertd.channels.email import EmailChannel
from pggit_alertd.model import Notification, Receipt

ONE, TWO, THREE = "one@example.com", "two@example.org", "three@example.net"


async def deliver(channel: EmailChannel, *to: str, what: Notification = NOTIFICATION) -> Receipt:
    """Parse, render and send."""
    destination = channel.parse({"to": list(to)})
    return await channel.send(destination, channel.render(what, destination))
