"""The command line as such: help, exit statuses, settings that can't be used, secrets that must not be seen."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from pggit_alertd import __version__
from pggit_alertd.settings import Settings
from pggit_alertd.settings.address import web_address
from support.command_line import alertd, alertd_afresh, run

COMMANDS = ("run", "migrate", "check", "config", "send-test", "healthcheck", "demo", "version")
CANARY = "canaryPassw0rdZx9"
URL = f"postgresql://ann:{CANARY}@db.example:5432/pggit"
HEAVY = ("psycopg", "httpx", "aiohttp", "structlog", "jinja2", "starlette", "pydantic_settings", "rich")


async def test_help_names_every_command_and_every_exit_status() -> None:
    """Whoever types the bare command learns what there is, and what the numbers mean."""
    ended = await alertd("--help")
    assert ended.status == 0
    for command in COMMANDS:
        assert f"\n  {command} " in ended.out
    for status in ("0", "1", "2", "69", "70", "77", "78"):
        assert f"\n  {status:>4}  " in ended.out


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_command_explains_itself(command: str) -> None:
    """Help needs no settings and no database."""
    ended = await alertd(command, "--help")
    assert ended.status == 0
    assert f"Usage: pggit-alertd {command}" in ended.out
    assert "Exit status:" in ended.out


async def test_every_command_works_in_an_interpreter_that_has_imported_nothing() -> None:
    """As a shell starts it, each command gets as far as a database that is down, or to its end without one."""
    expected = {
        "version": 0,
        "config": 0,
        "healthcheck --url http://127.0.0.1:1": 69,
        "check": 69,
        "migrate status": 69,
        "send-test 1": 69,
        "explain 1": 69,
        "conditions": 69,
        "settings history": 69,
        "deadletter list": 69,
        "snooze list": 69,
        "backtest --from 2026-01-01": 69,
    }
    down = "host=127.0.0.1 port=1"
    ended = await asyncio.gather(*(alertd_afresh(*each.split(), database_url=down) for each in expected))
    assert [each.status for each in ended] == list(expected.values()), [each.err for each in ended]


@pytest.mark.parametrize("arguments", [("--version",), ("version",)])
async def test_version_is_the_package_s(arguments: tuple[str, ...]) -> None:
    """Both spellings print the version that is installed."""
    ended = await alertd(*arguments)
    assert (ended.status, ended.out) == (0, f"pggit-alertd {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("migrat",),
        ("migrate", "sideways"),
        ("migrate", "status", "--dry-run"),
        ("send-test",),
        ("demo", "--duration", "soon"),
        ("healthcheck", "--url", "ftp://127.0.0.1"),
        ("--no-such-option",),
    ],
    ids=" ".join,
)
async def test_a_wrong_command_line_ends_with_two(arguments: tuple[str, ...]) -> None:
    """Words that can't be understood are answered with a sentence and the status for usage, never a traceback."""
    ended = await alertd(*arguments, database_url=URL)
    assert ended.status == 2
    assert ended.out == ""
    assert "Error: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", ["run", "migrate", "check", "config", "send-test ops"])
async def test_every_problem_of_the_environment_is_told_on_a_line_of_its_own(command: str) -> None:
    """All problems are listed at once: variable, what is wrong, what to write; without values that are secret."""
    ended = await alertd(
        *command.split(),
        database_url=f"mysql://ann:{CANARY}@db/pggit",
        http_port="eighty",
        smtp_url=f"smtp://{CANARY}@mail:25",
        baseline_schedule="at two",
        lease="30s",
    )
    assert ended.status == 78
    assert ended.out == ""
    lines = ended.err.splitlines()
    for variable in ("DATABASE_URL", "HTTP_PORT", "SMTP_URL", "BASELINE_SCHEDULE", "LEASE"):
        (line,) = [line for line in lines if line.startswith(f"pggit-alertd: PGGIT_ALERTD_{variable}: ")]
        assert "; write " in line
    assert "Traceback" not in ended.err
    assert CANARY not in ended.said


async def test_a_program_that_asked_for_json_gets_its_error_as_json() -> None:
    """With --json a failure is one object on standard output too, with the exit status in it."""
    ended = await alertd("check", "--json")
    assert ended.status == 78
    assert ended.json["ok"] is False
    assert ended.json["error"]["exit_status"] == 78
    assert "PGGIT_ALERTD_DATABASE_URL: is not set" in ended.json["error"]["message"]
    assert "PGGIT_ALERTD_DATABASE_URL: is not set" in ended.err


@pytest.mark.parametrize("arguments", [("config",), ("config", "--json")], ids=" ".join)
async def test_config_never_prints_a_secret(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Passwords in URLs, in key=value pairs, in files and in misspelled variables are masked, whatever the form."""
    secret = tmp_path / "smtp_url"
    secret.write_text(f"smtp://alertd:{CANARY}@mail.example:587\n")
    ended = await alertd(
        *arguments,
        database_url=URL,
        listen_database_url=f"host=db.example user=ann password={CANARY} dbname=pggit",
        smtp_url_file=str(secret),
        email_from="alerts@example.com",
        databse_url=URL,
        pagerduty_url="https://events.pagerduty.com/",
    )
    assert ended.status == 0
    assert CANARY not in ended.said
    assert "db.example" in ended.out
    assert str(secret) in ended.out


async def test_config_tells_where_each_value_comes_from_and_what_is_odd() -> None:
    """Every setting is listed with its origin; a variable that is no setting is warned of with the likely one."""
    ended = await alertd("config", "--json", database_url=URL, http_port="9999", shutdown_grase="5")
    rows = {row["variable"]: row for row in ended.json["settings"]}
    assert rows["PGGIT_ALERTD_HTTP_PORT"] == {
        "variable": "PGGIT_ALERTD_HTTP_PORT",
        "value": "9999",
        "origin": "environment",
    }
    assert rows["PGGIT_ALERTD_HTTP_HOST"]["origin"] == "default"
    assert any("did you mean PGGIT_ALERTD_SHUTDOWN_GRACE?" in warning for warning in ended.json["warnings"])
    plain = await alertd("config", database_url=URL, shutdown_grase="5")
    assert "warning: PGGIT_ALERTD_SHUTDOWN_GRASE is not a setting" in plain.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("pagerduty_url", "https://10.0.0.1"), ("email_from", "ü@example.com"), ("smtp_url", "smtp://h:0?tls=none")],
)
async def test_config_refuses_what_the_daemon_would_refuse(name: str, value: str) -> None:
    """What only a channel can judge is judged before the daemon is started with it; the variable is named."""
    ended = await alertd("config", database_url=URL, **{"email_from": "a@b.example", name: value})
    assert ended.status == 78
    assert f"PGGIT_ALERTD_{name.upper()}" in ended.err


async def test_an_error_nobody_foresaw_is_shown_with_secrets_masked() -> None:
    """A fault of the program gives a traceback for the report, the status 70, and no password."""
    script = (
        "from pggit_alertd.settings import Settings\n"
        "def broken(self): raise RuntimeError('lost ' + self.database_url.get_secret_value())\n"
        "Settings.effective = broken\n"
        "from pggit_alertd.cli import main\n"
        "main(['config'])\n"
    )
    ended = await run(sys.executable, "-c", script, database_url=URL)
    assert ended.status == 70
    assert "RuntimeError: lost postgresql://ann:***@db.example" in ended.err
    assert CANARY not in ended.said


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["healthcheck"]], ids=" ".join)
async def test_quick_commands_import_nothing_slow(arguments: list[str]) -> None:
    """A health check runs every ten seconds: it must not pay for a database driver or a web server."""
    script = (
        "import sys\n"
        "from pggit_alertd.cli import main\n"
        "try: main(sys.argv[1:])\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    ended = await run(sys.executable, "-c", script, *arguments, http_port="1")
    assert ended.err.splitlines()[-1] == "[]"


def test_health_check_and_daemon_agree_on_the_address() -> None:
    """The quick reading of host and port gives what the settings say, and takes "everywhere" for this host."""
    settings = Settings.load({"PGGIT_ALERTD_DATABASE_URL": URL})
    assert web_address({}) == (settings.http_host, settings.http_port)
    given = {"PGGIT_ALERTD_HTTP_HOST": "0.0.0.0", "PGGIT_ALERTD_HTTP_PORT": "9999"}  # noqa: S104 - nothing is bound
    assert web_address(given) == ("127.0.0.1", 9999)
    assert web_address({"PGGIT_ALERTD_HTTP_HOST": "[::]"}) == ("::1", settings.http_port)


async def test_a_port_in_use_is_no_reason_for_a_supervisor_to_give_up() -> None:
    """`run` on a taken port ends with 1, so that systemd tries again, and not with 78, which is final."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = await alertd("run", database_url=URL, http_port=str(taken.getsockname()[1]))
    assert ended.status == 1
    assert "is in use by another program" in ended.err
    assert CANARY not in ended.said
