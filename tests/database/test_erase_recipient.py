"""A person's mail address is forgotten: in settings, in everything that was kept, and by the record of it."""

import psycopg
import pytest

from support.alerts import Alerts

pytestmark = pytest.mark.servers

ADDRESS = "Bob.Smith+oncall@example.com"
TABLES = [
    "pggit.alert_notification_settings",
    "pggit.alert_notification_queue",
    "pggit.alert_notification_log",
    "pggit.alert_destination",
    "pggit.notification_settings_audit",
]


async def erase(alerts: Alerts, address: str | None = ADDRESS) -> dict[str, int]:
    """Erase, and return what was touched, without what was not."""
    rows = await alerts.rows("SELECT relation, touched FROM pggit.erase_recipient(%s)", address)
    return {str(relation): int(touched) for relation, touched in rows if touched}


async def test_the_address_is_gone_from_everywhere(alerts: Alerts) -> None:
    """After it, no table of ours holds the address in any case, and what else stood there still does."""
    kept = await alerts.setting("email", {"to": ["ann@example.com", ADDRESS.lower()], "cc": ADDRESS, "note": 7})
    alone = await alerts.setting("email", {"email": f" {ADDRESS} "}, severity="CRITICAL")
    await alerts.rows("UPDATE pggit.alert_notification_settings SET name = %s", f"for {ADDRESS}")
    await alerts.routed_alert()
    await alerts.rows(
        "UPDATE pggit.alert_notification_queue SET error_message = %s, message = %s,"
        " alert = alert || jsonb_build_object('user_name', %s::text), settled = ARRAY["
        " left(encode(sha256(lower(%s)::bytea), 'hex'), 16), 'other']",
        *(f"550 <{ADDRESS}>: unknown", f"by {ADDRESS.upper()}", ADDRESS, ADDRESS),
    )
    await alerts.rows(
        "INSERT INTO pggit.alert_notification_log (alert_id, channel, recipient, status, error_message)"
        " VALUES (1, 'email', 'x', 'failed', %s), (1, 'email', 'x', 'failed', %s)",
        f"550 {ADDRESS}.",
        f"550 x{ADDRESS}",
    )
    await alerts.rows(
        "INSERT INTO pggit.alert_destination (destination_key, channel, recipient, last_error)"
        " VALUES ('email:smtp', 'email', 'x', %s)",
        ADDRESS,
    )
    assert await erase(alerts) == {
        "alert_notification_settings": 2,
        "alert_notification_queue": 1,
        "alert_notification_log": 1,
        "alert_destination": 1,
        "notification_settings_audit": 4,
    }
    left = await alerts.everything(TABLES)
    assert left.lower().count(ADDRESS.lower()) == 1, "the longer address is somebody else's"
    assert await alerts.rows(
        "SELECT setting_id, config, name FROM pggit.alert_notification_settings ORDER BY setting_id"
    ) == [(kept, {"to": ["ann@example.com"], "note": 7}, "for ***"), (alone, {}, "for ***")]
    assert await alerts.queue("error_message, message, alert ->> 'user_name', settled") == [
        ("550 <***>: unknown", "by ***", "***", ["other"])
    ]
    assert (await alerts.log("error_message"))[0] == ("550 ***.",)
    assert any("names no recipient" in notice for notice in alerts.notices)


async def test_it_is_audited_without_the_address(alerts: Alerts) -> None:
    """The audit has who erased and how much was touched."""
    await alerts.setting("email", {"to": [ADDRESS, "ann@example.com"]})
    await erase(alerts)
    (row,) = await alerts.rows(
        "SELECT session_user_name, setting_id, after ->> 'alert_notification_settings'"
        " FROM pggit.notification_settings_audit WHERE action = 'ERASE'"
    )
    assert row == ("postgres", None, "1")
    assert "smith" not in (await alerts.everything(["pggit.notification_settings_audit"])).lower()


async def test_erasing_again_or_in_an_empty_database_touches_nothing(alerts: Alerts) -> None:
    """Nothing to do is no error, and other people's addresses are left as they are."""
    assert await erase(alerts) == {}
    await alerts.setting("email", {"to": ["ann@example.com"], "cc": []})
    await alerts.setting("slack", [])
    assert await erase(alerts) == {}
    assert await alerts.column("SELECT config FROM pggit.alert_notification_settings ORDER BY setting_id") == [
        {"to": ["ann@example.com"], "cc": []},
        [],
    ]


async def test_what_only_a_person_can_mend_is_counted(alerts: Alerts) -> None:
    """An address under a key that this program doesn't know is named as work left to do."""
    await alerts.setting("email", {"to": ["ann@example.com"], "owner": ADDRESS})
    assert await erase(alerts) == {"alert_notification_settings, other keys of config: mend by hand": 1}


@pytest.mark.parametrize("address", [None, "", "bob", "@", "a@b c", "a@b,c@d", 'a"@b', "%@%\\"])
async def test_what_is_no_address_is_refused_without_being_repeated(alerts: Alerts, address: str | None) -> None:
    """NULL and anything but one address is an error that does not echo it."""
    with pytest.raises(
        psycopg.errors.InvalidParameterValue, match="p_address is something else, it must be one mail address"
    ):
        await erase(alerts, address)


async def test_characters_of_a_pattern_are_taken_as_they_are(alerts: Alerts) -> None:
    """Dots, pluses and other signs of a regular expression in an address match only themselves."""
    for text, address, expected in [
        ("to a.b@x.com", "a.b@x.com", "to ***"),
        ("to aXb@x.com", "a.b@x.com", "to aXb@x.com"),
        ("a+b@x.com, (a+b@x.com)", "a+b@x.com", "***, (***)"),
        ("a@x.com.au and a@x.com.", "a@x.com", "a@x.com.au and ***."),
        ("o'hara{1}|x@x.com", "o'hara{1}|x@x.com", "***"),
        (None, "a@x.com", None),
        ("a", None, "a"),
    ]:
        assert await alerts.value("SELECT pggit.without_address(%s, %s)", text, address) == expected
