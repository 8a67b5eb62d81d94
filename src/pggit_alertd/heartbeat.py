"""The dead man's switch: a URL that hears from us while alerts are really delivered, and calls people when it doesn't.

No program can tell that it is dead. So this one tells, again and again, that it lives, to a service elsewhere. What it
tells must be true: a ping goes out only if since the last one the router and the dispatcher have been round against
the database, and the results of deliveries are being stored. A process that merely runs keeps silent, and the
silence is the alarm. Every replica pings; a single one that is lost is what the condition `worker_silent` tells of.
"""

import asyncio
import json
from typing import Protocol

from pggit_alertd import __version__, logs
from pggit_alertd.channels.endpoints import Endpoint, endpoint
from pggit_alertd.channels.http import HttpClient, Reply
from pggit_alertd.metrics import Metrics

SETTING = "PGGIT_ALERTD_HEARTBEAT_URL"
# On a quiet system the loops may sleep longer than the interval, so each is asked for a round this long before a ping.
LEAD_SECONDS = 5.0
BODY = json.dumps({"service": "pggit-alertd", "version": __version__}).encode()
_log = logs.get("heartbeat")


class Cycle(Protocol):
    """A loop that counts its whole rounds against the database, and may be asked for one."""

    rounds: int

    def wake(self) -> None:
        """Ask for a round soon."""


class Storing(Protocol):
    """Who stores the results of deliveries."""

    failing: bool

    @property
    def congested(self) -> bool:
        """Whether too many results wait."""


class Heartbeat:
    """Pings `url` every `interval` seconds after a whole cycle; without a URL it does nothing.

    `deadline` (seconds) bounds one ping; it never takes longer than the interval either. Raises DestinationError,
    which never shows the URL, if it is one that may not be called.
    """

    def __init__(
        self,
        url: str | None,
        *,
        interval: float,
        deadline: float,
        allow_insecure: bool,
        router: Cycle,
        dispatcher: Cycle,
        acknowledger: Storing,
        metrics: Metrics,
    ) -> None:
        self._endpoint: Endpoint | None = None
        if url is not None:
            self._endpoint = endpoint(url, key=SETTING, allow_insecure=allow_insecure)
            self._client = HttpClient(
                deadline=min(deadline, interval),
                user_agent=f"pggit-alertd/{__version__}",
                allow_insecure=allow_insecure,
            )
        self._interval = interval
        self._loops = (router, dispatcher)
        self._acknowledger = acknowledger
        self._metrics = metrics
        self._told = (0, 0)
        self._trouble = ""

    async def run(self) -> None:
        """Ping for ever; whatever goes wrong is logged and counted, and nothing else depends on it."""
        if self._endpoint is None:
            return
        while True:
            lead = min(LEAD_SECONDS, self._interval / 2)
            await asyncio.sleep(self._interval - lead)
            for loop in self._loops:
                loop.wake()
            await asyncio.sleep(lead)
            try:
                await self.beat()
            except Exception as error:  # noqa: BLE001 - the loop's edge: a switch that fails must not stop deliveries
                self._metrics.loop_errors.labels(loop="heartbeat").inc()
                self._failed(type(error).__name__)

    async def beat(self) -> None:
        """Ping once if there is a whole cycle to tell of."""
        if self._endpoint is None:
            return
        rounds = (self._loops[0].rounds, self._loops[1].rounds)
        if missing := self._missing(rounds):
            self._metrics.heartbeats.labels(outcome="withheld").inc()
            self._tell("heartbeat_withheld", missing)
            return
        reply = await self._client.post(self._endpoint, BODY)
        if not isinstance(reply, Reply):
            self._failed(reply.detail)
        elif not 200 <= reply.status < 300:  # noqa: PLR2004 - success
            self._failed(f"{self._endpoint.host} answered {reply.status}")
        else:
            self._told = rounds
            self._metrics.heartbeats.labels(outcome="sent").inc()
            self._metrics.heartbeat_last_success.set_to_current_time()
            if self._trouble:
                self._trouble = ""
                _log.info("heartbeat_recovered", host=self._endpoint.host)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._endpoint is not None:
            await self._client.aclose()

    def _missing(self, rounds: tuple[int, int]) -> str:
        """Return what the cycle lacks, or nothing if it is whole."""
        for name, before, now in zip(("routing", "claiming"), self._told, rounds, strict=True):
            if now <= before:
                return f"{name} has not been round since the last ping"
        if self._acknowledger.failing or self._acknowledger.congested:
            return "results of deliveries are not being stored"
        return ""

    def _failed(self, why: str) -> None:
        self._metrics.heartbeats.labels(outcome="failed").inc()
        self._tell("heartbeat_failed", why)

    def _tell(self, event: str, why: str) -> None:
        """Log a trouble when it begins, not at every ping."""
        if why != self._trouble:
            self._trouble = why
            _log.warning(event, error=why)
