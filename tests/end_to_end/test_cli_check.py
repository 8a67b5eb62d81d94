"""`pggit-alertd check`: a healthy installation, each defect by itself, and all of them at once."""

import asyncio
import re

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrations.databases import load, run
from pggit_alertd.checks import Status
from pggit_alertd.database.files import sql_directory
from pggit_alertd.demo.sinks import HttpSink, SmtpReply, SmtpSink
from support.checks import (
    ADDRESS,
    PASSWORD,
    ROUTING_KEY,
    TOKEN,
    add_setting,
    add_usual,
    checked,
    named,
    settings_for,
    troubles,
)
from support.command_line import alertd

FUTURE_METRIC = """
    INSERT INTO pggit.performance_metrics (
        operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start
    )
    SELECT 'commit', 1000, 1, s.t, s.t + interval '1 ms', 'ann', s.t, date_trunc('day', s.t)
    FROM (SELECT localtimestamp + interval '9 hours') AS s (t)
"""


HTTP_CHANNELS = ("slack", "pagerduty", "webhook", "apprise")


@pytest.mark.servers
async def test_a_healthy_installation_passes(database: str, http: HttpSink) -> None:
    """With everything in order each check says ok, the command ends with 0, and no person was told anything."""
    add_usual(database, http)
    add_setting(database, "webhook", {"url": http.hook_url(TOKEN)})
    add_setting(database, "apprise", {"url": f"json://127.0.0.1:{http.port}/hooks/{TOKEN}"})
    async with SmtpSink() as mail:
        ended = await alertd("check", **settings_for(database, http, mail))
    assert ended.status == 0, ended.out
    lines = ended.out.splitlines()
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}, ended.out
    for name in (
        "settings",
        "connection",
        "server",
        "pooler",
        "schema",
        "privileges",
        "time zones",
        "clock",
        "listen",
        "detection",
    ):
        assert sum(line.startswith(f"ok       {name}: ") for line in lines) == 1
    for name in ("job baselines", "notification settings", "mail server", *map("destination {}".format, HTTP_CHANNELS)):
        assert sum(line.startswith(f"ok       {name}") for line in lines) == 1
    assert (http.received, len(mail.mails)) == (0, 0)
    assert http.connections_made == 3
    assert "NOOP" in " ".join(mail.commands)


async def test_one_failure_never_hides_the_others(database: str, http: HttpSink, mail: SmtpSink) -> None:
    """With many defects at once the command names every one, ends with 1, and shows no secret, in JSON as in words."""
    add_usual(database, http)
    add_setting(database, "slack", None)
    add_setting(database, "pagerduty", {"service_key": ROUTING_KEY + "0"})
    add_setting(database, "pager", {})
    add_setting(database, "email", {"to": []}, enabled=False)
    add_setting(database, "slack", {"webhook": http.slack_url(TOKEN)}, severity="SEVERE", alert_type="SLOW")
    run(
        database,
        "INSERT INTO pggit.scheduled_job_run (job, slot, status, finished_at, error_message) "
        "VALUES ('baselines', now(), 'failed', now(), 'the disk is full')",
        "UPDATE pggit.scheduled_job SET enabled = FALSE WHERE job = 'partitions'",
    )
    mail.script(SmtpReply("AUTH", "535 5.7.8 no"))
    options = settings_for(database, http, mail, databse_url="x", listen_database_url="host=127.0.0.1 port=1")
    ended = await alertd("check", "--json", **options, PGTZ="Pacific/Chatham")
    assert ended.status == 1, ended.out
    assert ended.json["ok"] is False
    found = [(each["name"], each["status"]) for each in ended.json["checks"]]
    for trouble in (
        ("settings", "warning"),
        ("time zones", "warning"),
        ("listen", "failed"),
        ("job baselines", "warning"),
        ("job partitions", "skipped"),
        ("notification setting 4", "failed"),
        ("notification setting 5", "failed"),
        ("notification setting 6", "failed"),
        ("notification setting 7", "warning"),
        ("mail server", "failed"),
    ):
        assert trouble in found
    assert found.count(("notification setting 8", "warning")) == 2
    for name in ("connection", "server", "pooler", "schema", "privileges", "job retention"):
        assert (name, "ok") in found
    for secret in (TOKEN, ROUTING_KEY, PASSWORD, ADDRESS):
        assert secret not in ended.said


async def test_without_a_connection_the_rest_is_still_looked_at(mail: SmtpSink) -> None:
    """A database that is down ends with 69; what needs it is skipped by name, what doesn't is checked."""
    ended = await alertd("check", **settings_for("host=127.0.0.1 port=1", None, mail))
    assert ended.status == 69
    assert re.search(r"^FAILED   connection: .*Check that PostgreSQL runs", ended.out, flags=re.MULTILINE)
    assert re.search(r"^ok       mail server: 127\.0\.0\.1:\d+ answers in clear text", ended.out, flags=re.MULTILINE)
    assert re.search(r"^skipped  notification settings: ", ended.out, flags=re.MULTILINE)


async def test_a_refused_login_ends_with_the_status_for_it(database: str) -> None:
    """A role that doesn't exist ends with 77."""
    ended = await alertd("check", database_url=make_conninfo(database, user="nobody_here"))
    assert ended.status == 77
    assert "FAILED   connection: " in ended.out


DELETE_NEWEST = """
DELETE FROM pggit.alertd_migration
WHERE name = (SELECT max(m.name) FROM pggit.alertd_migration AS m WHERE m.kind = 'migration')
"""


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DROP SCHEMA pggit CASCADE", "run `pggit-alertd migrate up`"),
        (DELETE_NEWEST, "Run `pggit-alertd migrate up`"),
        (
            "INSERT INTO pggit.alertd_migration VALUES ('migration', '9999_future', 'x', '99.0.0')",
            "Install pggit-alertd 99.0.0 or later",
        ),
        ("UPDATE pggit.alertd_migration SET checksum = 'x' WHERE name = '0001_notifications'", "never change"),
    ],
    ids=["missing", "too old", "too new", "drifted"],
)
async def test_a_schema_that_is_not_this_release_s_fails(database: str, statement: str, says: str) -> None:
    """Missing, older, newer and altered schemas are told apart, each with its mend."""
    run(database, statement)
    schema = named(await checked(settings_for(database), destinations=False), "schema")
    assert schema.status is Status.FAILED
    assert says in schema.message


async def test_a_foreign_schema_is_named_as_what_it_is(empty_database: str) -> None:
    """Where `migrate up` would be refused, check says why instead of recommending it."""
    load(empty_database, "c")
    ended = await alertd("check", database_url=empty_database)
    assert ended.status == 78
    assert re.search(r"^FAILED   schema: .*metric_id", ended.out, flags=re.MULTILINE)
    assert re.search(r"^skipped  jobs: needs the schema", ended.out, flags=re.MULTILINE)


async def test_privileges_of_a_plain_role_are_judged(database: str) -> None:
    """A login role is told what it lacks and the one GRANT that helps; after that GRANT it lacks nothing."""
    name = f"checker_{conninfo_to_dict(database)['dbname']}"
    run(database, f"CREATE ROLE {name} LOGIN", f"GRANT USAGE ON SCHEMA pggit TO {name}")
    run(database, f"GRANT SELECT ON pggit.alertd_migration TO {name}")
    options = settings_for(make_conninfo(database, user=name))
    try:
        lacking = named(await checked(options, destinations=False), "privileges")
        assert lacking.status is Status.FAILED
        assert f"GRANT pggit_alertd_daemon TO {name}" in lacking.message
        assert "EXECUTE on FUNCTION pggit.claim_notifications" in lacking.message
        run(database, f"GRANT pggit_alertd_daemon TO {name}")
        assert troubles(await checked(options, destinations=False)) == {"notification settings": Status.WARNING}
    finally:
        run(database, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_every_object_that_the_daemon_s_sql_names_is_among_the_privileges() -> None:
    """A table or function that a query begins to use is looked for by check, or this fails."""
    folder = sql_directory() / "queries"
    paths = [path for path in folder.glob("*.sql") if not path.stem.startswith("migration_")]
    operators = ("snooze_add", "snooze_cancel", "deadletter_", "settings_history", "backtest_", "workload_")
    texts = {
        path.stem: re.sub(r"--[^\n]*", "", path.read_text()) for path in paths if not path.stem.startswith(operators)
    }
    listed = set(re.findall(r"'([a-z_]+)'", texts.pop("check_privileges")))
    used = {name for stem in texts for name in re.findall(r"\bpggit\.([a-z_]+)", texts[stem])}
    assert len(used) > 10
    assert used <= listed


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (("ALTER ROLE {role} SET TimeZone = 'Asia/Tokyo'",), "the TimeZone of role {role} is Asia/Tokyo"),
        (
            ("ALTER ROLE {role} IN DATABASE {database} SET TimeZone = 'Asia/Tokyo'",),
            "the TimeZone of role {role} in this database is Asia/Tokyo",
        ),
        (
            ("ALTER DATABASE {database} SET TimeZone = 'Asia/Tokyo'", "ALTER ROLE {role} SET TimeZone = 'Etc/UCT'"),
            "the TimeZone of role {role} is Etc/UCT, this program's Asia/Tokyo",
        ),
        ((FUTURE_METRIC,), "the newest metric lies 9.0 h in the future"),
    ],
    ids=["role", "role in database", "role against database", "evidence"],
)
async def test_another_time_zone_is_warned_of(database: str, statements: tuple[str, ...], says: str) -> None:
    """Roles, databases and data whose wall clock differs from the daemon's are named."""
    names = {"database": conninfo_to_dict(database)["dbname"], "role": f"zone_{conninfo_to_dict(database)['dbname']}"}
    run(database, "CREATE ROLE {role}".format(**names), *(each.format(**names) for each in statements))
    try:
        zones = named(await checked(settings_for(database), destinations=False), "time zones")
        assert zones.status is Status.WARNING
        assert says.format(**names) in zones.message
    finally:
        run(database, "DROP ROLE {role}".format(**names))


async def test_time_zones_with_the_same_clock_are_the_same(database: str) -> None:
    """Another name for the same zone is no finding."""
    role = f"zone_{conninfo_to_dict(database)['dbname']}"
    run(database, f"CREATE ROLE {role}", f"ALTER ROLE {role} SET TimeZone = 'UTC'")
    name = conninfo_to_dict(database)["dbname"]
    run(database, f"ALTER DATABASE {name} SET TimeZone = 'Etc/Greenwich'")
    try:
        assert named(await checked(settings_for(database), destinations=False), "time zones").status is Status.OK
    finally:
        run(database, f"DROP ROLE {role}")


async def test_listening_to_another_database_is_warned_of(database: str) -> None:
    """LISTEN in a database where no alert is raised hears nothing; check says so and names both."""
    elsewhere = make_conninfo(database, dbname="postgres")
    found = await checked(settings_for(database, listen_database_url=elsewhere), destinations=False)
    listen = named(found, "listen")
    assert listen.status is Status.WARNING
    assert "leads to database postgres" in listen.message


async def test_a_pooler_in_between_is_seen(database: str, pgbouncer: str) -> None:
    """Through PgBouncer in transaction mode all else passes, LISTEN is known to be deaf, and the mend is named."""
    found = await checked(settings_for(pgbouncer), destinations=False)
    assert "a pooler stands in between" in named(found, "pooler").message
    assert named(found, "pooler").status is Status.OK
    listen = named(found, "listen")
    assert listen.status is Status.WARNING
    assert "point PGGIT_ALERTD_LISTEN_DATABASE_URL at the server itself" in listen.message
    assert troubles(found) == {"listen": Status.WARNING, "notification settings": Status.WARNING}
    past = await checked(settings_for(pgbouncer, listen_database_url=database), destinations=False)
    assert named(past, "listen").status is Status.OK


async def test_a_strict_default_behind_a_pooler_is_warned_of(database: str, pgbouncer: str) -> None:
    """Where each statement needs a transaction of its own, the setting that saves it is named; directly none does."""
    name = conninfo_to_dict(database)["dbname"]
    run(database, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    found = named(await checked(settings_for(pgbouncer), destinations=False), "pooler")
    assert found.status is Status.WARNING
    assert "ALTER ROLE postgres SET default_transaction_isolation" in found.message
    assert named(await checked(settings_for(database), destinations=False), "pooler").status is Status.OK


async def test_a_database_that_prints_few_digits_has_the_same_clock(database: str) -> None:
    """With extra_float_digits at -10, seconds since 1970 as a double are a day off; the clock is not."""
    name = conninfo_to_dict(database)["dbname"]
    run(database, f"ALTER DATABASE {name} SET extra_float_digits = -10")
    assert named(await checked(settings_for(database), destinations=False), "clock").status is Status.OK


async def test_settings_of_detection_that_count_for_nothing_are_warned_of(database: str) -> None:
    """A mistyped operation and a pattern that matches none are a warning each, with what to do."""
    run(
        database,
        "INSERT INTO pggit.anomaly_detection_settings (operation_type, enabled) VALUES ('comit', FALSE)",
        "INSERT INTO pggit.anomaly_whitelist (operation_pattern, max_microseconds, reason) VALUES ('mrege*', 9, 'why')",
    )
    options = settings_for(database)
    found = [each for each in await checked(options, destinations=False) if each.name == "detection"]
    assert [(each.status, each.message.partition(":")[0]) for each in found] == [
        (Status.WARNING, "anomaly_detection_settings comit"),
        (Status.WARNING, "anomaly_whitelist 1 (mrege*)"),
    ]


async def test_a_job_that_is_overdue_is_warned_of(database: str) -> None:
    """A slot that passed its grace without a success is overdue; a success after the slot is in order."""
    run(
        database,
        "UPDATE pggit.scheduled_job SET updated_at = now() - interval '10 days',"
        " schedule = to_char(now() AT TIME ZONE 'UTC' - interval '3 days', '0 2 FMDD FMMM *') WHERE job = 'baselines'",
    )
    found = await checked(settings_for(database), destinations=False)
    assert named(found, "job baselines").status is Status.WARNING
    assert "overdue since" in named(found, "job baselines").message
    run(
        database,
        "INSERT INTO pggit.scheduled_job_run (job, slot, status, finished_at) VALUES "
        "('baselines', now(), 'succeeded', now())",
    )
    again = named(await checked(settings_for(database), destinations=False), "job baselines")
    assert (again.status, again.message.startswith("last succeeded")) == (Status.OK, True)


async def test_a_job_that_has_only_just_come_due_is_no_fault(database: str) -> None:
    """While a slot is inside its grace, a job that never succeeded is in order and said to be due."""
    run(
        database,
        "UPDATE pggit.scheduled_job SET updated_at = now() - interval '10 days',"
        " schedule = to_char(now() AT TIME ZONE 'UTC' - interval '10 minutes', 'FMMI FMHH24 * * *')"
        " WHERE job = 'baselines'",
    )
    found = named(await checked(settings_for(database), destinations=False), "job baselines")
    assert found.status is Status.OK
    assert found.message.startswith("has been due since ")
    assert found.message.endswith(", and has never succeeded")


async def test_a_lock_ends_in_a_finding_and_not_in_waiting_for_ever(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that can't get on is ended after its time, and the checks after it are made."""
    monkeypatch.setattr("pggit_alertd.checks.CHECK_SECONDS", 1.0)
    async with await psycopg.AsyncConnection.connect(database) as blocker:
        await blocker.execute("LOCK TABLE pggit.scheduled_job IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(30):
            found = await checked(settings_for(database), destinations=False)
    assert named(found, "jobs").status is Status.FAILED
    assert "look for locks" in named(found, "jobs").message
    assert named(found, "notification settings").status is Status.WARNING
