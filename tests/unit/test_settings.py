"""What the settings accept, what they say when they don't, and what they show of themselves."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq
from pydantic import SecretStr, ValidationError

from pggit_alertd.channel_options import channel_options
from pggit_alertd.channels import NAMES
from pggit_alertd.errors import SettingsError
from pggit_alertd.redaction import Redactor
from pggit_alertd.settings import Settings
from pggit_alertd.settings.sources import variable
from pggit_alertd.settings.values import LIBPQ_OPTIONS, span

URL = "postgresql://alertd:geheim-9f8e7d6c@db.example.com:5432/app"
P = "PGGIT_ALERTD_"


def load(**more: str) -> Settings:
    """Load from a database and these variables."""
    return Settings.load({f"{P}DATABASE_URL": URL, **{f"{P}{name}": value for name, value in more.items()}})


def problems(**more: str) -> list[str]:
    """Return the lines that loading these variables ends with."""
    with pytest.raises(SettingsError) as raised:
        load(**more)
    return str(raised.value).splitlines()


def test_only_the_database_must_be_named() -> None:
    """With nothing but a database the defaults hold together."""
    settings = load()
    assert settings.database_url.get_secret_value() == URL
    assert settings.listen_database_url == settings.database_url
    assert (settings.http_host, settings.http_port, settings.dry_run) == ("127.0.0.1", 8580, False)
    assert settings.lease == 3 * settings.smtp_deadline
    assert settings.warnings == ()


def test_overrides_follow_what_they_override() -> None:
    """A channel without its own concurrency, and a lease that is not set, follow the settings they are made from."""
    settings = load(CONCURRENCY="7", SLACK_CONCURRENCY="50", HTTP_DEADLINE="90s")
    assert (settings.email_concurrency, settings.slack_concurrency, settings.pagerduty_concurrency) == (7, 50, 7)
    assert (settings.webhook_concurrency, settings.apprise_concurrency) == (7, 7)
    assert channel_options(settings).apprise_threads == 14
    assert {f"{name}_concurrency" for name in NAMES} <= set(Settings.model_fields)
    assert settings.lease == 270.0


def test_keyword_arguments_ignore_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `load` reads the environment; a model made in code is what the code says."""
    monkeypatch.setenv(f"{P}HTTP_PORT", "1")
    monkeypatch.setenv("HTTP_PORT", "2")
    assert Settings(database_url=SecretStr(URL)).http_port == 8580


def test_load_reads_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument it is the process's own environment that counts."""
    monkeypatch.setenv(f"{P}DATABASE_URL", URL)
    monkeypatch.setenv(f"{P}HTTP_PORT", "0")
    assert Settings.load().http_port == 0


def test_settings_are_frozen() -> None:
    """What the program runs with can't change under it."""
    with pytest.raises(ValidationError):
        load().http_port = 1


def test_every_problem_is_told_at_once() -> None:
    """One start shows all that is wrong, a line for each variable, with relations among what was right."""
    told = problems(
        DATABASE_URL="mysql://root:geheim-9f8e7d6c@db/app",
        HTTP_PORT="99999",
        DRY_RUN="maybe",
        HORIZON="soon",
        LEASE="10",
        SMTP_URL="smtp://mx.example.com",
        LOG_LEVEL="loud",
    )
    names = [line.partition(":")[0].removeprefix(P) for line in told]
    assert names == ["DATABASE_URL", "HTTP_PORT", "EMAIL_FROM", "DRY_RUN", "LEASE", "HORIZON", "LOG_LEVEL"]
    assert all("; write " in line for line in told)
    assert "geheim" not in "\n".join(told)


def test_a_missing_database_is_told_with_an_example() -> None:
    """An empty environment gives one line that says what to write."""
    with pytest.raises(SettingsError) as raised:
        Settings.load({})
    assert str(raised.value).splitlines() == [
        (
            "PGGIT_ALERTD_DATABASE_URL: is not set; write postgresql://user:password@host:5432/database, or name a "
            "file that holds it in PGGIT_ALERTD_DATABASE_URL_FILE"
        )
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HTTP_PORT", "abc", "'abc' is not a whole number; write one from 0 to 65535"),
        ("HTTP_PORT", "-1", "too small"),
        ("HTTP_PORT", "8580.0", "not a whole number"),
        ("HTTP_PORT", "٣", "not a whole number"),
        ("CONCURRENCY", "0", "too small"),
        ("CONCURRENCY", "9" * 5000, "not a whole number"),
        ("POLL_INTERVAL", "0", "too short; write 50ms to 5m"),
        ("POLL_INTERVAL", "nan", "not a length of time"),
        ("POLL_INTERVAL", "inf", "not a length of time"),
        ("POLL_INTERVAL", "5 minutes", "500ms, 20s, 15m, 4h, 7d"),
        ("ALLOW_INSECURE_DESTINATIONS", "2", "write true or false"),
        ("BASELINE_SCHEDULE", "0 2 * *", "write five fields"),
        ("BASELINE_SCHEDULE", "@daily", "write five fields"),
        ("RETENTION_SCHEDULE", "61 * * * *", "is not a cron expression (Bad minute)"),
        ("PARTITION_SCHEDULE", "* * * * * *", "write five fields"),
        ("EMAIL_FROM", "nobody", "is not a mail address"),
        ("EMAIL_FROM", "a@b.example\nBcc: c@d.example", "is not a mail address"),
        ("PAGERDUTY_URL", "ftp://events.example.com", "is not an https:// URL"),
        ("PAGERDUTY_URL", "http://events.example.com", "is plain http"),
        ("HTTP_HOST", "127.0.0.1/24", "is not an address to listen at"),
        ("WORKER_NAME", "a\x1b[31m", "one line of plain text"),
        ("LOG_FORMAT", "xml", "write json or console"),
        ("RETRY_BASE", "1h", "longer than PGGIT_ALERTD_RETRY_CAP"),
        ("LEASE", "120", "write more than 2m"),
        ("HTTP_PORT", "1\0", "zero byte"),
    ],
)
def test_a_bad_value_is_told_with_its_mend(name: str, value: str, words: str) -> None:
    """Each kind of bad value gives one line that names the variable and what to write."""
    told = problems(**{name: value})
    assert len(told) == 1
    assert told[0].startswith(f"{P}{name}: ")
    assert words in told[0]
    assert len(told[0]) < 400


@pytest.mark.parametrize("value", ["host=db passwrd=geheim", "postgresql://u@h/db?Password=geheim"])
def test_an_option_that_libpq_does_not_know_is_told_with_a_guess(value: str) -> None:
    """A slip in an option's name stops the settings, not the program, and the likely name is given."""
    assert problems(DATABASE_URL=value) == [
        f"{P}DATABASE_URL: has an option that PostgreSQL doesn't know; write password=…"
    ]


def test_the_options_known_are_those_of_libpq() -> None:
    """The list refuses nothing that the libpq at hand would take."""
    assert {option.keyword.decode() for option in pq.Conninfo.get_defaults()} <= LIBPQ_OPTIONS


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://h/db",
        "postgres://u@/db?host=/var/run/postgresql",
        "postgresql://u:p%40ss@a:5432,b:5433/db?target_session_attrs=read-write",
        "postgresql://[::1]:5432/db",
        "host=db dbname=app user=alertd password='it\\'s geheim'",
        "service=alerts",
        "dbname=app options='-c search_path=pggit' password=",
        "postgresql://u@h/db?ssl=true&sslmode=require&",
    ],
)
def test_connection_strings_that_libpq_takes(value: str) -> None:
    """Every form of connection string that libpq documents is taken as it is."""
    assert load(DATABASE_URL=value).database_url.get_secret_value() == value


@pytest.mark.parametrize(
    "value",
    [
        "geheim",
        "http://u:geheim@h/db",
        "postgresql://u:ge@heim@h/db",
        "postgresql://u:ge/heim@h/db",
        "postgresql://u:geheim%@h/db",
        "postgresql://u:geheim @h/db",
        "postgresql://u:geheim@h:99999/db",
        "host=db password='geheim",
        "host = db geheim",
        "host=db passwd=geheim",
        "host=db geheim=1 password=geheim",
        "postgresql://u@h/db?passwd=geheim",
        "postgresql://u:ge?heim=1@h/db",
    ],
)
def test_connection_strings_that_fail_show_no_password(value: str) -> None:
    """A malformed connection string is refused without a word of it being repeated."""
    told = problems(DATABASE_URL=value)
    assert len(told) == 1
    assert "heim" not in told[0]
    assert "; " in told[0]


@pytest.mark.parametrize(
    "value",
    ["smtp://h:2525?tls=none", "smtps://u:p%40@h", "smtp://u:p@[::1]:587?tls=starttls", "smtp://mx.example.com"],
)
def test_mail_servers(value: str) -> None:
    """The three ways to speak to a mail server are taken."""
    assert load(SMTP_URL=value, EMAIL_FROM="pgGit <a@b.example>").smtp_url == SecretStr(value)


@pytest.mark.parametrize(
    "value",
    [
        "mx.example.com:25",
        "smtp://",
        "smtp://u:geheim#1@h",
        "smtp://u:geheim?@h",
        "smtp://u@h",
        "smtp://h:port",
        "smtp://h?tls=maybe",
        "smtp://h?tsl=none",
        "smtps://h?tls=starttls",
        "smtp://h/path",
    ],
)
def test_mail_servers_that_fail_show_no_password(value: str) -> None:
    """A malformed mail server's URL is refused with the mend and without its password."""
    told = problems(SMTP_URL=value, EMAIL_FROM="a@b.example")
    assert len(told) == 1
    assert told[0].startswith(f"{P}SMTP_URL: ")
    assert "geheim" not in told[0]


@pytest.mark.parametrize(
    ("written", "meant"), [("500ms", 0.5), ("20", 20.0), ("20s", 20.0), ("2 m", 120.0), (" .5m ", 30.0)]
)
def test_durations_may_have_units(written: str, meant: float) -> None:
    """A duration is seconds unless it says otherwise."""
    assert load(POLL_INTERVAL=written).poll_interval == meant


@given(st.floats(min_value=0.05, max_value=300).map(lambda number: round(number, 3)))
def test_durations_read_back_as_they_are_shown(seconds: float) -> None:
    """What `config` prints for a duration can be written back and means the same."""
    assert load(POLL_INTERVAL=span(seconds)).poll_interval == pytest.approx(seconds, rel=1e-4)


@given(st.text(max_size=40), st.sampled_from(sorted(set(Settings.model_fields) - {"database_url"})))
def test_no_text_escapes_as_another_error(text: str, field: str) -> None:
    """Whatever a variable holds, the result is a model or a SettingsError."""
    with contextlib.suppress(SettingsError):
        load(**{field.upper(): text})


def test_effective_values_are_masked_and_say_where_they_came_from() -> None:
    """`config` shows host and database but no password, and default or environment for each variable."""
    settings = load(SMTP_URL="smtp://mailer:pst-geheim@mx:587?tls=starttls", EMAIL_FROM="a@b.example", HTTP_PORT="0")
    shown = {each.variable: each for each in settings.effective()}
    assert shown[f"{P}DATABASE_URL"].value == "postgresql://alertd:***@db.example.com:5432/app"
    assert shown[f"{P}SMTP_URL"].value == "smtp://mailer:***@mx:587?tls=starttls"
    assert (shown[f"{P}HTTP_PORT"].value, shown[f"{P}HTTP_PORT"].origin) == ("0", "environment")
    assert (shown[f"{P}LEASE"].value, shown[f"{P}LEASE"].origin) == ("3m", "default")
    assert shown[f"{P}EMAIL_RATE"].value == "0"
    everything = f"{shown} {settings.redacted()} {settings!r} {settings}"
    assert "geheim" not in everything


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://h/db?password=geheim-1&user=u", "postgresql://h/db?password=***&user=u"),
        ("host=h dbname=d password='ge heim' user=u", "host=h dbname=d password=*** user=u"),
        ("host=h sslpassword = geheim", "host=h sslpassword = ***"),
    ],
)
def test_passwords_in_every_part_of_a_connection_string_are_masked(url: str, shown: str) -> None:
    """A password may stand in the query or among key=value pairs too."""
    assert load(DATABASE_URL=url).redacted()[f"{P}DATABASE_URL"] == shown


def test_secret_values_are_the_passwords() -> None:
    """The log is told the passwords, as written and as meant, and nothing that is public."""
    settings = load(LISTEN_DATABASE_URL="host=h password='it\\'s'", DATABASE_URL="postgresql://u:p%40ss@h/d")
    assert settings.secret_values() == {"p%40ss", "p@ss", "it\\'s", "it's"}


def test_unwise_values_are_warned_of() -> None:
    """What is legal but unwise starts, and says so."""
    told = "\n".join(
        (
            *load(SHUTDOWN_GRACE="45").warnings,
            *load(EMAIL_FROM="a@b.example").warnings,
            *load(EMAIL_FROM="a@b.example", SMTP_URL="smtp://u:p@h?tls=none").warnings,
            *load(MAIL_TEMPLATES="/nonexistent/templates").warnings,
        )
    )
    assert "SHUTDOWN_GRACE is 45s" in told
    assert "no mail can be sent" in told
    assert "password without TLS" in told
    assert "MAIL_TEMPLATES names no folder" in told


def test_the_heartbeat_url_is_a_secret_but_for_its_host() -> None:
    """What stands behind the host is the check's key: it is masked where settings are shown, and known to the log."""
    settings = load(HEARTBEAT_URL="https://hc-ping.com/9c1e5f6a-0d3b-geheim?create=1")
    assert settings.redacted()[f"{P}HEARTBEAT_URL"] == "https://hc-ping.com/***"
    assert {"9c1e5f6a-0d3b-geheim?create=1", "9c1e5f6a-0d3b-geheim"} < settings.secret_values()


@pytest.mark.parametrize(
    "url", ["hc-ping.com/geheim", "ftp://h/geheim", "https://u:p@h/geheim", "https://h:x/geheim", "http://h/geheim"]
)
def test_a_heartbeat_url_that_can_not_be_is_told_without_being_shown(url: str) -> None:
    """Anything but https, and a password in front of the host, is refused by the variable's name."""
    (line,) = problems(HEARTBEAT_URL=url)
    assert line.startswith(f"{P}HEARTBEAT_URL: ")
    assert "geheim" not in line


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("postgresql://ann:geheim-pw@/app?host=/run/pg", "postgresql://ann:***@/app?host=/run/pg"),
        ("host=/run/pg dbname=app user=ann password=geheim-pw", "host=/run/pg dbname=app user=ann password=***"),
    ],
)
def test_the_log_of_the_start_shows_which_database(written: str, shown: str) -> None:
    """A socket's folder, the database and the user stand in the first log line; the password does not."""
    settings = load(DATABASE_URL=written)
    logged = Redactor(settings.secret_values()).event({"event": "starting", "settings": settings.redacted()})
    assert logged["settings"][f"{P}DATABASE_URL"] == shown
    assert "geheim" not in str(logged)


def test_the_log_of_the_start_shows_every_number() -> None:
    """Passing through the log's redaction masks no setting that is a number: operators look for them there."""
    settings = load()
    logged = Redactor(settings.secret_values()).event({"event": "starting", "settings": settings.redacted()})
    numbers = [variable(name) for name in Settings.model_fields if type(getattr(settings, name)) in {int, float}]
    assert len(numbers) > 20
    assert {name: logged["settings"][name] for name in numbers} == {name: settings.redacted()[name] for name in numbers}
