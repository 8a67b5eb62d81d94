"""The least that claiming, acknowledging and logging can be in the daemon's tables: what any worker on them costs.

    .venv/bin/python bench/_bare_worker.py URL ARRIVALS BATCH

Each batch is one UPDATE that leases rows by the due index, one UPDATE that finishes them by id and number, and one
INSERT of their attempts, the next batch being claimed while the last is stored. Nothing else: one destination whose
name is known, no breaker, no order, no digests, no config, no check of who claimed, no log line, no metric, no retry.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop
from psycopg import AsyncConnection, AsyncRawCursor

from _arrivals import Arrivals

CLAIM = b"""
UPDATE pggit.alert_notification_queue AS q
SET
    attempt = attempt + 1, claim_no = claim_no + 1, claimed_by = 'bare', claimed_at = now(),
    next_attempt_at = now() + interval '60 s'
WHERE queue_id = ANY(ARRAY(
    SELECT n.queue_id FROM pggit.alert_notification_queue AS n
    WHERE n.status = 'pending' AND n.channel = 'slack' AND n.urgency = 1 AND n.destination_key = $1
        AND n.next_attempt_at <= now()
    ORDER BY n.next_attempt_at, n.queue_id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
))
RETURNING queue_id, claim_no, alert_id, attempt, alert::text, message, setting_id, recipient, created_at
"""
# The join by hash: a loop over all results for each row is what the planner takes for arrays of unknown length.
STORE = b"""
WITH result AS MATERIALIZED (
    SELECT r.* FROM unnest($1::bigint [], $2::integer [], $3::bigint []) AS r (queue_id, claim_no, alert_id)
),
finished AS (
    UPDATE pggit.alert_notification_queue AS q
    SET status = 'sent', claimed_by = NULL, claimed_at = NULL, sent_at = now(), processed_at = now()
    FROM (SELECT result.* FROM result CROSS JOIN generate_series(1, (SELECT 1)) OFFSET 0) AS r
    WHERE q.queue_id = ANY($1::bigint []) AND q.queue_id = r.queue_id AND q.claim_no = r.claim_no
    RETURNING q.queue_id
)
INSERT INTO pggit.alert_notification_log (
    queue_id, claim_no, alert_id, setting_id, event, channel, recipient, attempt, status, delivery_time_ms, worker,
    destination_key, sent_at
)
SELECT r.queue_id, r.claim_no, r.alert_id, 1, 'triggered', 'slack', '#bench', 1, 'sent', 0, 'bare', $4, now()
FROM result AS r
"""


async def _run(connection: AsyncConnection[Any], statement: bytes, *values: object) -> list[Any]:
    cursor = await AsyncRawCursor(connection).execute(statement, values, prepare=True)
    return await cursor.fetchall() if cursor.description else []


async def _work(url: str, arrivals: Arrivals, batch: int) -> None:
    """Work until a signal."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with (
        await AsyncConnection.connect(url, autocommit=True) as claiming,
        await AsyncConnection.connect(url, autocommit=True) as storing,
        asyncio.TaskGroup() as group,
    ):
        await claiming.execute("SET synchronous_commit = off")
        [(key,)] = await _run(claiming, b"SELECT destination_key FROM pggit.alert_notification_settings LIMIT 1")
        stored: asyncio.Task[list[Any]] | None = None
        while not stopped.is_set():
            rows = await _run(claiming, CLAIM, key, batch)
            for row in rows:
                arrivals.note(row[2])
            if stored is not None:
                await stored
                stored = None
            if not rows:
                await asyncio.sleep(0.01)
                continue
            columns = ([row[column] for row in rows] for column in (0, 1, 2))
            stored = group.create_task(_run(storing, STORE, *columns, key))
        if stored is not None:
            await stored


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(sys.argv[1], Arrivals(Path(sys.argv[2])), int(sys.argv[3])))
