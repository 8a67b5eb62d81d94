"""What the daemon does with a database that isn't there, isn't migrated or won't let it in, and with a taken port."""

import json
from pathlib import Path

import psycopg
import pytest

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer
from pggit_alertd.web import bind
from support.daemon import Daemon, Stage, as_url

_TOO_OLD = """
CREATE TABLE kept AS SELECT * FROM pggit.alertd_migration;
DELETE FROM pggit.alertd_migration WHERE name = (SELECT max(name) FROM kept WHERE kind = 'migration')
"""
_TOO_NEW = """
INSERT INTO pggit.alertd_migration (kind, name, checksum, release)
SELECT kind, '9999_future.sql', checksum, '99.0.0' FROM pggit.alertd_migration WHERE name LIKE '%0003%'
"""
MISFITS = [
    ("ALTER SCHEMA pggit RENAME TO away", "ALTER SCHEMA away RENAME TO pggit", "run `pggit-alertd migrate up`"),
    (
        _TOO_OLD,
        "INSERT INTO pggit.alertd_migration SELECT * FROM kept WHERE kind = 'migration' ORDER BY name DESC LIMIT 1",
        "older than release",
    ),
    (
        _TOO_NEW,
        "DELETE FROM pggit.alertd_migration WHERE name = '9999_future.sql'",
        "Install pggit-alertd 99.0.0 or later",
    ),
]


async def waits(daemon: Daemon, reason: str) -> None:
    """Check that a daemon that can't work stays up, is live, and says on /readyz what stands in the way."""
    event = await daemon.wait_for_event("waiting_for_database")
    assert reason in event["error"]
    assert (await daemon.page("/livez")).status_code == 200
    reply = await daemon.page("/readyz")
    assert reply.status_code == 503
    assert reason in reply.json()["reasons"][0]
    assert daemon.running


async def works(set_up: Stage, daemon: Daemon) -> None:
    """Check that the daemon, once its trouble is mended, becomes ready and delivers."""
    await daemon.ready()
    await daemon.until_page("/readyz", 200)
    await set_up.slack()
    await set_up.storm(1)
    await set_up.settled(1)
    assert await set_up.statuses() == {"sent": 1}
    assert await daemon.stop() == 0


async def test_the_database_is_down(set_up: Stage, tmp_path: Path) -> None:
    """Started before its database it waits, and works as soon as the database is there."""
    later = tmp_path / "socket"
    daemon = await set_up.spawn(
        database_url=as_url(set_up.dsn).partition("?")[0] + f"?host={later}", database_connect_timeout=1
    )
    await waits(daemon, "PostgreSQL can't be reached")
    later.symlink_to(as_url(set_up.dsn).partition("?host=")[2])
    await works(set_up, daemon)


async def test_the_password_is_wrong(set_up: Stage) -> None:
    """A refused login is waited for too, names the variable to mend, and shows no password."""
    with EmbeddedServer() as own:
        with psycopg.connect(own.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE app")
        await migrate.up(own.dsn("app"))
        with psycopg.connect(own.dsn("app"), autocommit=True) as connection:
            connection.execute("CREATE ROLE pager LOGIN SUPERUSER PASSWORD 'right'")
            (own.data / "pg_hba.conf").write_text("local all pager scram-sha-256\nlocal all all trust\n")
            connection.execute("SELECT pg_reload_conf()")
        url = f"postgresql://pager:geheim123@/app?host={own.socket}"
        daemon = await set_up.spawn(database_url=url, database_connect_timeout=1)
        await waits(daemon, "Mend the user or the password in PGGIT_ALERTD_DATABASE_URL")
        with psycopg.connect(own.dsn("app"), autocommit=True) as connection:
            connection.execute("ALTER ROLE pager PASSWORD 'geheim123'")
        await daemon.ready()
        await daemon.until_page("/readyz", 200)
        assert "geheim123" not in json.dumps(daemon.events)
        assert await daemon.stop() == 0


async def test_a_wrong_password_is_told_at_once(set_up: Stage) -> None:
    """The first line about it comes without waiting for a connection that can't come, and says what to mend."""
    with EmbeddedServer() as own:
        with psycopg.connect(own.dsn(), autocommit=True) as connection:
            connection.execute("CREATE ROLE pager LOGIN PASSWORD 'right'")
            (own.data / "pg_hba.conf").write_text("local all pager scram-sha-256\nlocal all all trust\n")
            connection.execute("SELECT pg_reload_conf()")
        url = f"postgresql://pager:geheim123@/postgres?host={own.socket}"
        daemon = await set_up.spawn(database_url=url, database_connect_timeout=60)
        event = await daemon.wait_for_event("waiting_for_database")
        assert "Mend the user or the password in PGGIT_ALERTD_DATABASE_URL" in event["error"]
        assert "geheim123" not in json.dumps(daemon.events)


async def test_readiness_is_told_when_it_changes(set_up: Stage) -> None:
    """That the work can't be done is one line with the reason, that it can again another, however often it is tried."""
    daemon = await set_up.run(deaf_poll_interval=0.1, poll_interval=0.1)
    await set_up.alerts.rows("ALTER SCHEMA pggit RENAME TO away")
    lost = await daemon.wait_for_event("readiness_lost")
    assert "pggit-alertd migrate up" in " ".join(lost["reasons"])
    await daemon.wait_for_event("routing_failed", count=3)
    await set_up.alerts.rows("ALTER SCHEMA away RENAME TO pggit")
    back = await daemon.wait_for_event("readiness_back")
    assert back["after"] > 0
    assert (len(daemon.seen("readiness_lost")), len(daemon.seen("readiness_back"))) == (1, 1)
    assert await daemon.stop() == 0
    assert len(daemon.seen("readiness_lost")) == 1, "a stop is no loss"


@pytest.mark.parametrize(("spoil", "mend", "reason"), MISFITS, ids=["missing", "too old", "too new"])
async def test_the_schema_does_not_fit(set_up: Stage, spoil: str, mend: str, reason: str) -> None:
    """A schema that is missing, too old or too new is waited for, and says what to run; mended, work begins."""
    for statement in spoil.split(";"):
        await set_up.alerts.rows(statement)
    daemon = await set_up.spawn()
    await waits(daemon, reason)
    await set_up.alerts.rows(mend)
    await works(set_up, daemon)


async def test_the_database_has_customs_of_its_own(set_up: Stage) -> None:
    """Dates, intervals, strings and transactions with other defaults than PostgreSQL's own change no delivery."""
    name = await set_up.alerts.value("SELECT quote_ident(current_database())")
    for custom in (
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'iso_8601'",
        "TimeZone = 'Asia/Kolkata'",
        "standard_conforming_strings = off",
        "default_transaction_isolation = 'serializable'",
        "search_path = 'nowhere'",
    ):
        await set_up.alerts.rows(f"ALTER DATABASE {name} SET {custom}")
    await set_up.slack()
    daemon = await set_up.run()
    await set_up.alerts.alert(operation="back\\slash 'n \"quote")
    await set_up.settled(1)
    assert await set_up.statuses() == {"sent": 1}
    assert not [event for event in daemon.events if event["level"] not in {"info", "debug"}]
    assert await daemon.stop() == 0


async def test_the_port_is_taken(set_up: Stage) -> None:
    """A taken port ends the program with 1, so that it is started again, and one line that names the variable."""
    taken = bind("127.0.0.1", 0)
    try:
        daemon = await set_up.spawn(http_port=taken.port)
        assert await daemon.ended() == 1
    finally:
        taken.close()
    (said,) = [event["text"] for event in daemon.seen("(text)")]
    assert said.startswith(f"pggit-alertd: PGGIT_ALERTD_HTTP_PORT: port {taken.port} of 127.0.0.1 is in use")


async def test_the_environment_is_malformed(set_up: Stage) -> None:
    """Every wrong variable is named at once, with the mend, and no secret is repeated; exit 78."""
    daemon = await set_up.spawn(
        database_url="mysql://u:geheim123@h/d", concurrency="many", lease="1s", http_port=99999, smtp_url="smtp://"
    )
    assert await daemon.ended() == 78
    said = "\n".join(event["text"] for event in daemon.seen("(text)"))
    for variable in ("DATABASE_URL", "CONCURRENCY", "LEASE", "HTTP_PORT", "SMTP_URL"):
        assert f"PGGIT_ALERTD_{variable}: " in said
    assert "geheim123" not in said
