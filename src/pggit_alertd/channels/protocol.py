"""What every channel is, and what it promises to the dispatcher."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from pggit_alertd.model import Notification, Receipt

D = TypeVar("D")
M = TypeVar("M")


class Channel(Protocol[D, M]):
    """One way to reach people.

    `D` is the channel's destination (parsed from a setting's config), `M` its rendered message. `parse` and `render`
    are pure and quick; `send` is the only one that touches the network. The conformance suite in tests/channels holds
    every channel to this contract.
    """

    name: str
    deadline: float
    """Seconds after which the dispatcher cancels `send`; the lease is three times the longest of them."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What a config may hold; any other key is ignored, and `check` tells of it."""

    def parse(self, config: Mapping[str, Any]) -> D:
        """Return the destination a setting's config describes. Raises DestinationError naming the key to mend."""

    def render(self, notification: Notification, destination: D) -> M:
        """Return the message within the receiver's limits, for any text. Never raises for odd text."""

    async def send(self, destination: D, message: M) -> Receipt:
        """Deliver once and classify the reply. Raises nothing but CancelledError."""

    async def probe(self, destination: D) -> Receipt:
        """Say whether the destination can be reached, without telling any human anything."""

    async def aclose(self) -> None:
        """Close connections that are kept between messages."""
