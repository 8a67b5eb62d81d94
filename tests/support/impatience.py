"""Time moved forward for what waits without a lease, so that a scenario needn't sit out back-offs and breakers."""

from support.daemon import PATIENCE, Stage

_HASTEN = """
WITH probing AS (
    UPDATE pggit.alert_destination SET open_until = now()
    WHERE destination_key = ANY(ARRAY(
        SELECT destination_key FROM pggit.alert_destination
        WHERE opened_at IS NOT NULL AND open_until > now() FOR UPDATE SKIP LOCKED
    ))
),
waiting AS (
    UPDATE pggit.alert_notification_queue SET next_attempt_at = now()
    WHERE queue_id = ANY(ARRAY(
        SELECT queue_id FROM pggit.alert_notification_queue
        WHERE status = 'pending' AND claimed_by IS NULL AND next_attempt_at > now() FOR UPDATE SKIP LOCKED
    ))
)
SELECT (SELECT count(*) FROM pggit.alert_notification_queue WHERE status = 'pending')
    + (SELECT count(*) FROM pggit.alert_outbox)
"""


async def until_nothing_waits(stage: Stage, within: float = PATIENCE) -> None:
    """Return when the queue is empty, making due whatever waits for a retry, its turn or a breaker's probe.

    Leases are left alone: they are what keeps two workers apart.
    """
    await stage.look(lambda rows: rows == [(0,)], _HASTEN, "nothing left", within)
