"""The shortcut of alerts that have just been raised: routed and claimed in one round trip, or by the router."""

import pytest

from pggit_alertd.clock import SystemClock
from pggit_alertd.database.pool import Database
from pggit_alertd.errors import DatabaseError
from pggit_alertd.shortcut import AFTER_SLOW_SECONDS, FEW, SLOW_SECONDS, Shortcut
from pggit_alertd.store import Routed, Store
from support.alerts import Alerts
from support.claims import HandClock, ack, rooms, store

pytestmark = pytest.mark.servers

DAY = 86_400.0


class Path:
    """A shortcut whose dispatcher sleeps, with what it told the router and how often it woke the dispatcher."""

    def __init__(self, work: Store, clock: HandClock | SystemClock) -> None:
        self.told: list[Routed | None] = []
        self.woken = 0
        self.shortcut = Shortcut(work, clock, horizon_critical=DAY, horizon=DAY / 6)
        self.shortcut.told = self.told.append
        self.shortcut.wake = self._wake

    def _wake(self) -> None:
        self.woken += 1

    def ask(self) -> bool:
        """Ask while the dispatcher sleeps."""
        with self.shortcut.open():
            return self.shortcut.ask()

    async def claim(self) -> list[str]:
        """Claim for all lanes and report, as the dispatcher does; return the operations."""
        claims = await self.shortcut.claim(rooms(), take_expired=True, known={})
        self.shortcut.report()
        return [claim.alert.operation_type for claim in claims]


async def test_an_alert_is_routed_and_claimed_in_one_transaction(alerts: Alerts, daemon_pool: Database) -> None:
    """What was raised a moment ago is claimed by whoever routes it, its outbox row is gone, and its ack is accepted."""
    work = store(daemon_pool)
    await alerts.setting(pattern="commit")
    alert = await alerts.alert("commit")
    done, claims = await work.route_and_claim(
        rooms(), take_expired=True, known={}, limit=FEW, horizon_critical=DAY, horizon=DAY
    )
    assert (done.alerts, done.queued, done.refused, done.suppressed) == (1, 1, 0, {})
    assert [claim.alert.alert_id for claim in claims] == [alert]
    assert await alerts.queue("created_at = claimed_at") == [(True,)], "now() is the same for one transaction"
    assert await alerts.value("SELECT count(*) FROM pggit.alert_outbox") == 0
    assert await work.acknowledge([ack(claims[0])]) == 0
    assert await alerts.queue("status") == [("sent",)]


async def test_what_was_due_before_is_claimed_too(alerts: Alerts, daemon_pool: Database) -> None:
    """What waits in the queue goes out with what is routed; an alert that nobody hears of is only counted."""
    await alerts.setting(pattern="commit")
    await alerts.routed_alert("commit")
    await alerts.alert("commit", alert_type="ANOMALY")
    await alerts.alert("push")
    path = Path(store(daemon_pool), SystemClock())
    assert path.ask()
    assert await path.claim() == ["commit", "commit"]
    assert path.told == [Routed(2, 1, 0, {"no_matching_setting": 1})]


async def test_nothing_to_route_and_nothing_due(alerts: Alerts, daemon_pool: Database) -> None:
    """On empty tables nothing is claimed, and the router is woken: the notification was for something else."""
    assert await alerts.value("SELECT count(*) FROM pggit.performance_alerts") == 0
    path = Path(store(daemon_pool), SystemClock())
    assert path.ask()
    assert await path.claim() == []
    assert path.told == [Routed(0, 0, 0, {}), None]


async def test_without_being_asked_it_only_claims(alerts: Alerts, daemon_pool: Database) -> None:
    """A claim for which nobody asked routes nothing, and so does the one after the one that did."""
    await alerts.setting(pattern="commit")
    await alerts.alert("commit")
    path = Path(store(daemon_pool), SystemClock())
    assert await path.claim() == []
    assert path.ask()
    assert await path.claim() == ["commit"]
    await alerts.alert("commit")
    assert await path.claim() == []
    assert (path.woken, len(path.told)) == (1, 1)


async def test_a_dispatcher_that_is_at_work_is_not_asked(alerts: Alerts, daemon_pool: Database) -> None:
    """While the dispatcher claims, routing is the router's; what the dispatcher can't serve goes back to it, once."""
    await alerts.alert("commit")
    path = Path(store(daemon_pool), SystemClock())
    assert not path.shortcut.ask()
    assert path.ask()
    path.shortcut.decline()
    path.shortcut.decline()
    assert path.told == [None]
    assert await path.claim() == []
    assert await alerts.value("SELECT count(*) FROM pggit.alert_outbox") == 1


async def test_a_storm_is_left_to_the_router(alerts: Alerts, daemon_pool: Database) -> None:
    """Only a few alerts are routed on the way; the router is told to take the rest."""
    await alerts.setting(pattern="*")
    for number in range(FEW + 5):
        await alerts.alert(f"operation {number}")
    path = Path(store(daemon_pool), SystemClock())
    assert path.ask()
    assert len(await path.claim()) == 10, "one destination has ten slots"
    assert path.told == [Routed(FEW, FEW, 0, {}), None]
    assert await alerts.value("SELECT count(*) FROM pggit.alert_outbox") == 5


async def test_after_a_failure_the_router_is_told(alerts: Alerts, daemon_pool: Database) -> None:
    """When the transaction fails, nothing of it stays, the error comes through, and routing is the router's again."""
    await alerts.setting(pattern="*")
    await alerts.alert("commit")
    path = Path(store(daemon_pool), SystemClock())
    await alerts.rows("REVOKE UPDATE ON pggit.alert_notification_queue FROM pggit_alertd_daemon")
    assert path.ask()
    with pytest.raises(DatabaseError):
        await path.claim()
    assert path.told == [None]
    assert await alerts.value("SELECT count(*) FROM pggit.alert_outbox") == 1
    assert await alerts.queue("status") == []


async def test_routing_that_fails_keeps_nothing_from_being_claimed(alerts: Alerts, daemon_pool: Database) -> None:
    """What is due is claimed all the same, the router does the routing, and the next alerts go the long way a while."""
    clock = HandClock()
    await alerts.setting(pattern="*")
    await alerts.routed_alert("commit")
    await alerts.alert("push")
    await alerts.rows("ALTER FUNCTION pggit.glob_matches(text, text) RENAME TO gone")
    path = Path(Store(daemon_pool, "w1", clock), clock)
    assert path.ask()
    assert await path.claim() == ["commit"]
    assert path.told == [None]
    assert not path.ask()
    clock.seconds += AFTER_SLOW_SECONDS + 1
    assert path.ask()


async def test_a_slow_transaction_closes_it_for_a_while(alerts: Alerts, daemon_pool: Database) -> None:
    """Routing that waits for a lock must not hold up what is due, so the next alerts go the long way for a while."""
    clock = HandClock()

    class Slow(Store):
        """A store whose transactions take a while by its clock."""

        async def route_and_claim(self, *rooms: object, **more: object) -> object:  # type: ignore[override]
            clock.seconds += SLOW_SECONDS * 2
            return await super().route_and_claim(*rooms, **more)  # type: ignore[arg-type]

    await alerts.setting(pattern="*")
    await alerts.alert("commit")
    path = Path(Slow(daemon_pool, "w1", clock), clock)
    assert path.ask()
    assert await path.claim() == ["commit"]
    assert not path.ask()
    clock.seconds += AFTER_SLOW_SECONDS + 1
    assert path.ask()
