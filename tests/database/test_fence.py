"""The fence when PostgreSQL has crashed: ids and claim numbers come again, and no result may land on the wrong row."""

from structlog.testing import capture_logs

from pggit_alertd.acknowledger import Acknowledger
from pggit_alertd.clock import SystemClock
from pggit_alertd.database.pool import Database
from pggit_alertd.liveness import Liveness
from pggit_alertd.metrics import Metrics
from pggit_alertd.model import Ack, Outcome, Urgency
from pggit_alertd.store import Room, Store
from support.alerts import Alerts


async def test_a_result_from_before_a_crash_is_superseded(database: str) -> None:
    """A row that a crash made unclaimed, claimed again under the same number, is safe; the log says why."""
    alerts = await Alerts.connect(database)
    pool = Database(database)
    await pool.open()
    try:
        store = Store(pool, "worker", SystemClock())
        await alerts.setting("slack")
        await alerts.routed_alert()
        room = [Room("slack", Urgency.ROUTINE, 1, 1, lease=60.0, trust=30.0)]
        (before,) = await store.claim(room, take_expired=True)
        await alerts.rows(
            "UPDATE pggit.alert_notification_queue "
            "SET claim_no = 0, claimed_by = NULL, attempt = 0, next_attempt_at = now()"
        )
        (after,) = await store.claim(room, take_expired=True)
        assert (after.queue_id, after.claim_no) == (before.queue_id, before.claim_no)
        acknowledger = Acknowledger(store, metrics=Metrics(), beat=Liveness(SystemClock()).loop("acknowledger", 30.0))
        acknowledger.submit(Ack(before, Outcome.SENT))
        with capture_logs() as logged:
            assert await acknowledger.drain(10.0)
        (told,) = [each for each in logged if each["event"] == "acks_superseded"]
        assert (told["count"], "PostgreSQL crashed" in told["reason"]) == (1, True)
        assert await alerts.queue("status, claimed_by") == [("pending", "worker")]
        assert await store.acknowledge([Ack(after, Outcome.SENT)]) == 0
        assert await alerts.queue("status, claimed_by") == [("sent", None)]
        assert sorted(status for (status,) in await alerts.log("status")) == ["sent", "superseded"]
    finally:
        await pool.close()
        await alerts.close()
