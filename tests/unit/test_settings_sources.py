"""Values from files, variables that are not ours, and the page made from the model."""

from pathlib import Path

import pytest

from pggit_alertd.errors import SettingsError
from pggit_alertd.settings import Settings, settings_reference
from pggit_alertd.settings.__main__ import main
from pggit_alertd.settings.sources import variable

URL = "postgresql://alertd:geheim@db/app"
P = "PGGIT_ALERTD_"
PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def load(**more: str) -> Settings:
    """Load from a database and these variables."""
    return Settings.load({f"{P}DATABASE_URL": URL, **more})


def problem(**more: str) -> str:
    """Return what loading these variables ends with."""
    with pytest.raises(SettingsError) as raised:
        load(**more)
    return str(raised.value)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_stands_for_its_variable(tmp_path: Path, ending: str) -> None:
    """X_FILE gives the file's content as X, without the line break that editors and kubectl leave at the end."""
    path = tmp_path / "url"
    path.write_bytes(f"{URL}{ending}".encode())
    settings = Settings.load({f"{P}DATABASE_URL_FILE": str(path)})
    assert settings.database_url.get_secret_value() == URL
    assert settings.effective()[0].origin == f"file {path}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 70_000, "larger than 64 KiB"),
        (b"a\0b", "zero byte"),
    ],
)
def test_a_file_that_holds_no_value(tmp_path: Path, content: bytes, words: str) -> None:
    """A file without a usable value is one problem, and it names the file's variable."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    told = problem(**{f"{P}SMTP_URL_FILE": str(path)})
    assert told.startswith(f"{P}SMTP_URL_FILE: ")
    assert words in told
    assert "\n" not in told


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file and a directory are told apart, in words."""
    assert "does not exist; write the path" in problem(**{f"{P}SMTP_URL_FILE": str(tmp_path / "absent")})
    assert "is a directory; write the path" in problem(**{f"{P}SMTP_URL_FILE": str(tmp_path)})
    assert "can't be read" in problem(**{f"{P}SMTP_URL_FILE": "a\0b"})


def test_variable_and_file_together_are_an_error(tmp_path: Path) -> None:
    """Two sources for one value are never guessed between."""
    path = tmp_path / "port"
    path.write_text("1")
    told = problem(**{f"{P}HTTP_PORT": "8580", f"{P}HTTP_PORT_FILE": str(path)})
    assert told == f"{P}HTTP_PORT: is given twice, also as {P}HTTP_PORT_FILE; keep one of the two"


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    """Compose files make empty variables of unknown ones; they change nothing and don't clash with a file."""
    path = tmp_path / "port"
    path.write_text("9000\n")
    assert load(**{f"{P}HTTP_PORT": "", f"{P}HTTP_PORT_FILE": str(path), f"{P}SMTP_URL": ""}).http_port == 9000


def test_a_misspelt_variable_is_a_warning_with_a_guess() -> None:
    """An unknown variable doesn't stop the start, but says what was probably meant."""
    assert load(**{f"{P}SMPT_URL": "x", f"{P}QQQQ": "x", "pggit_alertd_http_port": "1"}).warnings == (
        f"{P}QQQQ is not a setting and is ignored; `pggit-alertd config` lists the settings there are",
        f"{P}SMPT_URL is not a setting and is ignored; did you mean {P}SMTP_URL?",
        f"pggit_alertd_http_port is not a setting and is ignored; did you mean {P}HTTP_PORT?",
    )


def test_a_misspelt_variable_is_told_while_another_is_wrong() -> None:
    """What stops the start doesn't hide the names that are no settings: all are told at once, problems first."""
    assert problem(**{f"{P}CONCURENCY": "5", f"{P}HTTP_PORT": "x", f"{P}QQQQ": "x"}).splitlines() == [
        f"{P}HTTP_PORT: 'x' is not a whole number; write one from 0 to 65535",
        f"{P}CONCURENCY is not a setting and is ignored; did you mean {P}CONCURRENCY?",
        f"{P}QQQQ is not a setting and is ignored; `pggit-alertd config` lists the settings there are",
    ]


def test_kubernetes_service_variables_are_not_warned_of() -> None:
    """A Service called pggit-alertd puts variables with our prefix into every pod; they are none of our business."""
    settings = load(
        **{
            f"{P}SERVICE_HOST": "10.0.0.1",
            f"{P}SERVICE_PORT": "8580",
            f"{P}SERVICE_PORT_HTTP": "8580",
            f"{P}PORT": "tcp://10.0.0.1:8580",
            f"{P}PORT_8580_TCP": "tcp://10.0.0.1:8580",
            f"{P}PORT_8580_TCP_ADDR": "10.0.0.1",
            f"{P}METRICS_SERVICE_HOST": "10.0.0.2",
        }
    )
    assert settings.warnings == ()


def test_a_service_that_clashes_with_a_setting_is_ignored_and_told() -> None:
    """A Service called pggit-alertd-http sets PGGIT_ALERTD_HTTP_PORT to a URL; the default stays."""
    settings = load(**{f"{P}HTTP_PORT": "tcp://10.0.0.1:8580"})
    assert settings.http_port == 8580
    assert "enableServiceLinks" in settings.warnings[0]


def test_systemd_variables_have_no_prefix() -> None:
    """NOTIFY_SOCKET and WATCHDOG_USEC are read under the names that systemd gives them."""
    settings = load(NOTIFY_SOCKET="@run/notify", WATCHDOG_USEC="30000000", WATCHDOG_PID="1")
    assert (settings.notify_socket, settings.watchdog_usec, settings.watchdog_pid) == ("@run/notify", 30_000_000, 1)


def test_the_page_says_what_the_program_does() -> None:
    """docs/settings.md is what the model makes; `python -m pggit_alertd.settings > docs/settings.md` renews it."""
    assert PAGE.read_text(encoding="utf-8") == settings_reference()


def test_the_page_names_every_setting() -> None:
    """Each field has its row with a meaning."""
    rows = [line.split(" | ") for line in settings_reference().splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"| `{variable(name)}`" for name in Settings.model_fields]
    assert all(len(row) == 4 and len(row[3]) > 10 for row in rows)


def test_the_command_prints_and_checks_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments the page is printed; with --check the exit status tells whether a file is the same."""
    assert main([]) == 0
    page = tmp_path / "settings.md"
    page.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["--check", str(page)]) == 0
    page.write_text("old", encoding="utf-8")
    assert main(["--check", str(page)]) == 1
    assert main(["--check", str(tmp_path / "absent.md")]) == 1
    assert main(["--what"]) == 2
