"""The demo's settings and its view of the tables: whatever is raised while it plays is counted and has a way."""

from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from pggit_alertd.demo import SETTINGS
from pggit_alertd.demo.journey import Ledger, progress, summary
from support.alerts import WEBHOOK, Alerts


@pytest.mark.parametrize("alert_type", ["THRESHOLD_EXCEEDED", "ANOMALY", "DEGRADATION"])
async def test_every_kind_of_alert_reaches_slack(
    connection: AsyncConnection[tuple[Any, ...]], database: str, alert_type: str
) -> None:
    """An alert that a job raises beside the demo's work is waiting first, then on its way, and not from before."""
    alerts = Alerts(connection)
    await connection.execute(SETTINGS, {"slack": WEBHOOK})
    before = await alerts.routed_alert()
    await alerts.alert(alert_type=alert_type)
    with psycopg.connect(database, autocommit=True) as looking:
        raised = progress(looking, before)
        assert (raised.alerts, raised.waiting, raised.journeys, raised.settled) == (1, 1, [], False)
        await alerts.route()
        routed = progress(looking, before)
    assert (routed.alerts, routed.waiting, routed.settled) == (1, 0, False)
    assert [(each.channel, each.alert_type) for each in routed.journeys] == [("slack", alert_type)]
    figures = summary(routed, Ledger())
    assert (figures["alerts"], figures["lost"]) == (1, 1)
