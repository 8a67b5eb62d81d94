"""The real daemon watches itself: told through what works, shown on its pages and the command line, goodbye said."""

from pggit_alertd.conditions import Kind
from support.command_line import alertd
from support.daemon import Daemon, Stage, as_url

OPEN = """
INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until, open_reason)
SELECT s.destination_key, 'slack', s.recipient, now(), now() + interval '1 hour', '404 no_service'
FROM pggit.alert_notification_settings AS s WHERE s.setting_id = %s
"""
CLOSE = "UPDATE pggit.alert_destination SET opened_at = NULL, open_until = NULL"
CHECK = "SELECT stage FROM pggit.self_check(p_hold => '0', p_clear => '0')"


async def checked(daemon: Daemon) -> None:
    """Return when the daemon has made the check that it makes at its start."""
    await daemon.wait_for_event("job_at_start_done", job="self_check")


async def test_a_broken_destination_is_told_through_another_and_its_end_too(set_up: Stage) -> None:
    """PagerDuty opens an incident for the broken Slack and closes the same one; Slack itself hears nothing."""
    broken = await set_up.slack()
    await set_up.pagerduty()
    await set_up.alerts.rows(OPEN, broken)
    daemon = await set_up.run(watch_hold=0)
    await set_up.arrived(1)
    await set_up.settled(1)
    body = (await daemon.page("/healthz")).json()["detail"]
    assert [(each["kind"], each["notifications"]) for each in body["conditions"]] == [("destination_open", 1)]
    assert body["workers"] == 1
    await set_up.alerts.rows(CLOSE)
    assert await set_up.alerts.column(CHECK) == ["over"]
    await set_up.arrived(2)
    await set_up.settled(2)
    trigger, resolve = (request.json() for request in set_up.http.requests)
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert "404 no_service" in trigger["payload"]["summary"]
    assert "docs/runbooks/destination-open.md" in trigger["payload"]["summary"]
    assert set_up.requests("/services/") == {}


async def test_two_replicas_tell_once(set_up: Stage) -> None:
    """Both look at their start, and one notification is queued."""
    broken = await set_up.slack()
    await set_up.email()
    await set_up.alerts.rows(OPEN, broken)
    daemons = [await set_up.spawn(watch_hold=0, worker_name=name) for name in ("one", "two")]
    for daemon in daemons:
        await checked(daemon)
    await set_up.settled(1)
    assert len(set_up.mail.mails) == 1
    told = [event for daemon in daemons for event in daemon.seen("condition_began")]
    assert [event["kind"] for event in told] == ["destination_open"]


async def test_what_nobody_can_be_told_is_an_error_in_the_log_and_stays_visible(set_up: Stage) -> None:
    """With the only destination broken the log says so, and metrics and command line show it."""
    await set_up.alerts.rows(OPEN, await set_up.slack())
    daemon = await set_up.run(watch_hold=0)
    event = await daemon.wait_for_event("condition_unheard", level="error")
    assert event["kind"] == "destination_open"
    shown = {kind: await daemon.metric(f'pggit_alertd_condition{{kind="{kind.value}"}}') for kind in Kind}
    assert {kind for kind, value in shown.items() if value} == {Kind.DESTINATION_OPEN}
    assert await daemon.metric("pggit_alertd_workers") == 1
    listed = await alertd("conditions", database_url=as_url(set_up.dsn))
    assert listed.status == 1
    assert "404 no_service" in listed.out
    assert "nobody was told yet" in listed.out


async def test_the_command_line_lists_what_is_wrong_and_what_was(set_up: Stage) -> None:
    """Nothing wrong is status 0; what is over is listed on request; JSON has the same."""
    url = as_url(set_up.dsn)
    quiet = await alertd("conditions", database_url=url)
    assert (quiet.status, quiet.out) == (0, "no conditions\n")
    await set_up.alerts.rows("""
        INSERT INTO pggit.alertd_condition (kind, subject, severity, detail, since, resolved_at)
        VALUES ('worker_silent', 'host:1', 'WARNING', 'gone', now() - interval '50 min', now() - interval '8 min')
    """)
    assert (await alertd("conditions", database_url=url)).out == "no conditions\n"
    listed = await alertd("conditions", "--days", "1", "--json", database_url=url)
    assert listed.status == 0
    (found,) = listed.json["conditions"]
    assert (found["kind"], found["subject"], found["lasted_seconds"]) == ("worker_silent", "host:1", 2520)
    assert found["runbook"] == "docs/runbooks/worker-silent.md"


async def test_a_heartbeat_url_inside_the_network_ends_the_start(set_up: Stage) -> None:
    """What a webhook may not name the heartbeat may not either; the program says which variable, not the URL."""
    ended = await alertd("run", database_url=as_url(set_up.dsn), heartbeat_url="https://10.0.0.1/geheim-key")
    assert ended.status == 78
    assert "PGGIT_ALERTD_HEARTBEAT_URL names a private or local address" in ended.err
    assert "geheim" not in ended.said


async def test_only_a_worker_that_vanished_is_silent(set_up: Stage) -> None:
    """One that was stopped in order said goodbye, one that was killed did not; coming back takes the goodbye back."""
    worker = "SELECT worker, stopped_at IS NOT NULL FROM pggit.alertd_worker ORDER BY worker"
    stopped = await set_up.run(worker_name="stopped")
    killed = await set_up.run(worker_name="killed")
    await set_up.look(lambda rows: len(rows) == 2, worker, "both are known")
    assert await stopped.stop() == 0
    killed.kill()
    await killed.process.wait()
    assert await set_up.alerts.rows(worker) == [("killed", False), ("stopped", True)]
    await set_up.run(worker_name="stopped")
    await set_up.look(lambda rows: ("stopped", False) in rows, worker, "back again")
