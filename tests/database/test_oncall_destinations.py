"""On-call shifts and destinations: what waits for a setting waits where the setting reaches now, and nowhere else."""

import pytest
from psycopg import IntegrityError
from psycopg.types.json import Jsonb

from pggit_alertd.database.pool import Database
from pggit_alertd.model import Outcome, Reason, Verdict
from pggit_alertd.store import BreakerRule
from support.alerts import Alerts
from support.claims import ack, rooms, store

pytestmark = pytest.mark.servers

RULE = BreakerRule(threshold=1, base=600.0, cap=600.0)
SHIFT = {
    "webhook": "https://hooks.slack.com/services/T00000000/B00000000/SSSSSSSSSSSSSSSSSSSSSSSS",
    "channel": "#shift",
}
OPEN = """
    INSERT INTO pggit.alert_destination (destination_key, channel, recipient, opened_at, open_until, open_reason)
    SELECT destination_key, 'slack', recipient, now(), now() + interval '15 minutes', 'auth'
    FROM pggit.{} WHERE setting_id = %s
    """


async def shift(alerts: Alerts, setting: int, *, starts: str = "-1 minute", ends: str = "1 hour") -> int:
    """Put somebody on call for the setting, from and to so long from now; return the shift's number."""
    return int(
        await alerts.value(
            "INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config)"
            " VALUES (%s, now() + %s::interval, now() + %s::interval, %s) RETURNING shift_id",
            setting,
            starts,
            ends,
            Jsonb(SHIFT),
        )
    )


async def where(alerts: Alerts) -> list[str]:
    """Return the masked recipients that the queue's rows wait for."""
    return [row[0] for row in await alerts.queue("recipient")]


async def test_a_page_for_a_shift_does_not_wait_behind_the_breaker_of_the_setting(
    alerts: Alerts, pool: Database
) -> None:
    """The setting's own endpoint is broken, the shift's works: what is raised is claimed at once, all of it."""
    setting = await alerts.setting()
    await alerts.rows(OPEN.format("alert_notification_settings"), setting)
    await shift(alerts, setting)
    await alerts.routed_alert(count=5, severity="CRITICAL")
    claims = await store(pool).claim(rooms(), take_expired=True)
    assert len(claims) == 5
    assert {(claim.recipient, claim.probing) for claim in claims} == {("#shift", False)}


@pytest.mark.parametrize("config", ["{}", '{"to": ["ann@example.com"]}', '{"webhook": null}'])
async def test_a_shift_that_can_not_be_used_stands_in_for_nothing(alerts: Alerts, pool: Database, config: str) -> None:
    """A page goes to the setting's own endpoint, behind its breaker; mended, the shift gets what waits."""
    setting = await alerts.setting()
    number = await shift(alerts, setting)
    await alerts.rows("UPDATE pggit.oncall_shift SET config = %s::jsonb", config)
    assert "can't deliver" in alerts.notices[-1]
    await alerts.alert(count=2, severity="CRITICAL")
    await alerts.route()
    assert await where(alerts) == ["#pgit-alerts"] * 2
    (claim,) = await store(pool).claim(rooms(1), take_expired=True)
    assert (claim.recipient, claim.config and "hooks.slack.com" in claim.config) == ("#pgit-alerts", True)
    await alerts.rows("UPDATE pggit.oncall_shift SET config = %s WHERE shift_id = %s", Jsonb(SHIFT), number)
    (claim,) = await store(pool).claim(rooms(), take_expired=True)
    assert claim.recipient == "#shift"


async def test_of_shifts_that_overlap_the_latest_that_can_be_used_is_reached(alerts: Alerts, pool: Database) -> None:
    """A later start with a broken config leaves the setting to the shift before it, not to the setting's own."""
    setting = await alerts.setting()
    await shift(alerts, setting, starts="-1 hour")
    later = await shift(alerts, setting)
    await alerts.rows("UPDATE pggit.oncall_shift SET config = '{}' WHERE shift_id = %s", later)
    await alerts.alert(severity="CRITICAL")
    await alerts.route()
    (claim,) = await store(pool).claim(rooms(), take_expired=True)
    assert claim.recipient == "#shift"


async def test_the_breaker_of_a_shift_holds_back_what_waits_for_it(alerts: Alerts, pool: Database) -> None:
    """A shift's endpoint that is broken or paused gets no claim before the probe, however much is raised."""
    setting = await alerts.setting()
    await shift(alerts, setting)
    await alerts.routed_alert()
    mine = store(pool, breaker=RULE)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    await mine.acknowledge([ack(claim, Outcome.RETRY, verdict=Verdict.TRANSIENT, reason=Reason.SERVER_ERROR)])
    await alerts.routed_alert("other", count=5)
    assert await mine.claim(rooms(), take_expired=True) == []
    assert "destination broken" in await alerts.value(
        "SELECT pggit.notification_outlook(max(queue_id)) FROM pggit.alert_notification_queue"
    )


@pytest.mark.parametrize("end", ["over", "deleted", "changed"])
async def test_what_waits_follows_when_a_shift_ends(alerts: Alerts, pool: Database, end: str) -> None:
    """Rows that waited for the shift's broken endpoint go back to the setting's own, those that were tried at once."""
    setting = await alerts.setting()
    number = await shift(alerts, setting)
    await alerts.rows(OPEN.format("oncall_shift"), setting)
    await alerts.routed_alert(count=3)
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET attempt = 1, next_attempt_at = now() + interval '10 minutes'"
    )
    mine = store(pool)
    assert await where(alerts) == ["#shift"] * 3
    if end == "over":
        await alerts.rows("ALTER TABLE pggit.oncall_shift DISABLE TRIGGER USER")
        await alerts.rows("UPDATE pggit.oncall_shift SET ends_at = now()")
        await mine.tend_destinations()
    elif end == "deleted":
        await alerts.rows("DELETE FROM pggit.oncall_shift WHERE shift_id = %s", number)
    else:
        await alerts.rows(
            "UPDATE pggit.oncall_shift SET config = config || %s",
            Jsonb({"webhook": SHIFT["webhook"].replace("S" * 24, "R" * 24)}),
        )
    assert len(await mine.claim(rooms(), take_expired=True)) == 3


async def test_what_waits_follows_when_a_shift_begins(alerts: Alerts, pool: Database) -> None:
    """A row that waits behind the setting's own breaker is claimed once a shift with another endpoint is on."""
    setting = await alerts.setting()
    await alerts.rows(OPEN.format("alert_notification_settings"), setting)
    await alerts.routed_alert(severity="CRITICAL")
    mine = store(pool)
    assert await mine.claim(rooms(), take_expired=True) == []
    await shift(alerts, setting)
    (claim,) = await mine.claim(rooms(), take_expired=True)
    assert claim.recipient == "#shift"


async def test_a_setting_that_moves_and_a_replay_stay_with_the_shift(alerts: Alerts, pool: Database) -> None:
    """Another webhook for the setting, or sending a dead letter again, changes nothing about who is on call."""
    setting = await alerts.setting()
    await shift(alerts, setting)
    await alerts.routed_alert(count=2)
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET config = config || %s",
        Jsonb({"webhook": SHIFT["webhook"].replace("S" * 24, "N" * 24)}),
    )
    assert await where(alerts) == ["#shift"] * 2
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now()")
    await alerts.rows("SELECT pggit.replay_notification(queue_id) FROM pggit.alert_notification_queue")
    keys = "SELECT array_agg(DISTINCT destination_key) FROM pggit.{}"
    assert await alerts.value(keys.format("alert_notification_queue")) == await alerts.value(
        keys.format("oncall_shift")
    )
    assert len(await store(pool).claim(rooms(), take_expired=True)) == 2


async def test_operators_are_told_through_what_a_setting_reaches_now(alerts: Alerts) -> None:
    """News about a broken endpoint goes through a setting whose shift works, not one whose shift is broken."""
    well, broken = await alerts.setting(), await alerts.setting("pagerduty")
    await shift(alerts, well)
    told = "SELECT pggit.operator_settings('CRITICAL', %s)"
    own = await alerts.value(
        "SELECT destination_key FROM pggit.alert_notification_settings WHERE setting_id = %s", well
    )
    assert await alerts.value(told, own) == [well, broken]
    await alerts.rows(OPEN.format("oncall_shift"), well)
    assert await alerts.value(told, "nowhere") == [broken]


async def test_nothing_to_follow_is_no_trouble(alerts: Alerts) -> None:
    """Empty tables, unknown settings, NULL and shifts that can't deliver move nothing and raise nothing."""
    for arguments in ("", "NULL", "-1", "-1, 'nowhere'", "NULL, NULL, 0"):
        assert await alerts.value(f"SELECT pggit.follow_moved_endpoints({arguments})") == 0
    setting = await alerts.setting()
    await alerts.rows(
        "INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config) VALUES (%s, now(), 'infinity', '{}')",
        setting,
    )
    await alerts.routed_alert()
    assert await alerts.value("SELECT pggit.follow_moved_endpoints()") == 0
    await alerts.rows("DELETE FROM pggit.alert_notification_settings")
    assert await alerts.value("SELECT count(*) FROM pggit.oncall_shift") == 0
    assert await where(alerts) == ["#pgit-alerts"]


async def test_only_what_a_setting_reaches_now_has_to_work(alerts: Alerts, pool: Database) -> None:
    """A setting that is made for shifts and has no config of its own is escalated to, rescues, and is replayed."""
    bare = await alerts.setting(config={}, alert_type="ESCALATION")
    pager = await alerts.setting("pagerduty")
    alert = await alerts.routed_alert(severity="CRITICAL")
    await alerts.rows(
        "UPDATE pggit.alert_notification_settings SET fallback_setting_id = %s WHERE setting_id = %s", bare, pager
    )
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now(), error_message = 'HTTP 400'"
    )
    assert await alerts.value("SELECT pggit.queue_fallbacks()") == 0
    await shift(alerts, bare)
    assert await alerts.value("SELECT pggit.queue_fallbacks()") == 1
    (claim,) = await store(pool).claim(rooms(), take_expired=True)
    assert (claim.alert.alert_id, claim.recipient) == (alert, "#shift")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now()")
    assert await alerts.value("SELECT pggit.replay_notification(%s)", claim.queue_id)
    verdicts = "SELECT verdict FROM pggit.setting_verdicts('commit', 'ANOMALY', 'INFO') WHERE setting_id = %s"
    assert "broken" not in await alerts.value(verdicts, bare)
    await alerts.rows("DELETE FROM pggit.oncall_shift")
    await alerts.rows("UPDATE pggit.alert_notification_queue SET status = 'failed', processed_at = now()")
    assert not await alerts.value("SELECT pggit.replay_notification(%s)", claim.queue_id)


async def test_a_setting_that_is_made_for_shifts_needs_no_config_of_its_own(alerts: Alerts, pool: Database) -> None:
    """An alert raised during the shift is sent; one raised outside of it is a dead letter that says why."""
    bare = await alerts.setting(config={})
    await shift(alerts, bare)
    await alerts.alert(severity="CRITICAL")
    assert await alerts.route() == (1, 1, 0)
    (claim,) = await store(pool).claim(rooms(), take_expired=True)
    assert claim.recipient == "#shift"
    await alerts.rows("DELETE FROM pggit.oncall_shift")
    await alerts.alert("push", severity="CRITICAL")
    assert await alerts.route() == (1, 0, 1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("NULL, now(), 'infinity', %s", "setting_id must not be NULL"),
        ("1, NULL, 'infinity', %s", "starts_at must not be NULL"),
        ("1, now(), NULL, %s", "ends_at must not be NULL"),
        ("1, now(), now() - interval '1 h', %s", "oncall_shift_ends_after_it_starts"),
        ("1, now(), 'infinity', jsonb_build_array(%s::jsonb)", "oncall_shift_config_is_an_object"),
        ("1, now(), 'infinity', CASE WHEN %s::jsonb IS NULL THEN '{}'::jsonb END", "config must not be NULL"),
    ],
)
async def test_a_shift_that_is_refused_shows_no_secret(alerts: Alerts, values: str, says: str) -> None:
    """What a constraint would refuse is refused before it, so the row stands neither in the error nor in the log."""
    await alerts.setting()
    statement = f"INSERT INTO pggit.oncall_shift (setting_id, starts_at, ends_at, config) VALUES ({values})"  # noqa: S608
    with pytest.raises(IntegrityError, match=says) as refused:
        await alerts.rows(statement, Jsonb(SHIFT))
    assert SHIFT["webhook"] not in f"{refused.value} {refused.value.diag.message_detail}"
    assert "Failing row" not in f"{refused.value} {refused.value.diag.message_detail}"
