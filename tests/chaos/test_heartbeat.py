"""The real daemon's heartbeat: it beats while work gets done, stops with the database, and comes back with it."""

from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.demo.sinks import Answer
from support.daemon import Stage

KEY = "9c1e5f6a-0d3b-4a77-geheim"


async def test_the_heartbeat_stops_while_the_database_is_gone(set_up: Stage, crashable: EmbeddedServer) -> None:
    """A daemon without its database lives on and keeps silent, so that the switch elsewhere raises the alarm."""
    set_up.http.always(Answer(200, "OK"), "/ping/")
    daemon = await set_up.run(
        heartbeat_url=f"{set_up.http.url}/ping/{KEY}", heartbeat_interval=1, database_connect_timeout=1
    )
    await set_up.arrived(2)
    crashable.halt()
    await daemon.wait_for_event("heartbeat_withheld")
    silent = set_up.http.received
    await daemon.wait_for_event("claim_failed", count=3)
    assert set_up.http.received == silent
    assert await daemon.metric('pggit_alertd_heartbeat_pings_total{outcome="withheld"}') >= 1
    crashable.resume()
    await daemon.wait_for_event("heartbeat_recovered")
    assert set_up.http.received > silent
    assert await daemon.stop() == 0
    assert not any("geheim" in str(event) for event in daemon.events)
