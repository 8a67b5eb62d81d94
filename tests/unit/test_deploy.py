"""The files people deploy with say only what the program and its platform understand."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pggit_alertd.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "pggit-alertd.service"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
ENVIRONMENT_FILES = [DEPLOY / "example.env", DEPLOY / "systemd" / "pggit-alertd.env.example"]
# What compose itself fills in: the image's tag and the published port.
COMPOSE_ONLY = {"PGGIT_ALERTD_VERSION", "PGGIT_ALERTD_PORT"}
STOP_TIMEOUT = 30


def unit() -> dict[str, str]:
    """Return the unit's directives; of repeated ones, the last. Fails on a line that is none."""
    directives = {}
    for line in UNIT.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, equals, value = line.partition("=")
            assert equals, line
            assert name.isalnum(), line
            directives[name] = value
    return directives


def compose() -> dict[str, Any]:
    """Return the compose file's content."""
    content = yaml.safe_load(COMPOSE.read_text())
    assert isinstance(content, dict)
    return content


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each as its name and the rest."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in text.splitlines()) if name]


def final_stage() -> dict[str, str]:
    """Return the last stage's instructions; of repeated ones, the last."""
    stages = instructions()
    start = max(number for number, (name, _) in enumerate(stages) if name == "FROM")
    return dict(stages[start:])


def known_variables() -> set[str]:
    """Return every variable that the program reads."""
    names = {f"PGGIT_ALERTD_{name.upper()}" for name in Settings.model_fields}
    return names | {f"{name}_FILE" for name in names}


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and "secrets" not in path.parts]
    + [ROOT / "Dockerfile"],
    ids=lambda path: path.name,
)
def test_only_variables_that_exist_are_named(path: Path) -> None:
    """A variable in a file that people copy is one that the program reads."""
    named = set(re.findall(r"PGGIT_ALERTD_[A-Z_]+", path.read_text()))
    assert named - known_variables() - COMPOSE_ONLY == set()


@pytest.mark.parametrize("path", ENVIRONMENT_FILES, ids=lambda path: path.name)
def test_example_environment_is_accepted(path: Path) -> None:
    """With every line of an example file uncommented the settings are valid, and defaults shown are true."""
    pairs = dict(re.findall(r"^#?(PGGIT_ALERTD_[A-Z_]+)=(.*)$", path.read_text(), flags=re.MULTILINE))
    needed = {
        "PGGIT_ALERTD_DATABASE_URL": "postgresql://alertd@localhost/pggit",
        "PGGIT_ALERTD_SMTP_URL": "smtp://mail.example.com:25?tls=none",
    }
    settings = Settings.load({**needed, **pairs})
    assert settings.database_url.get_secret_value()
    plain = Settings.load(needed | {"PGGIT_ALERTD_EMAIL_FROM": "alerts@example.com"})
    for name in (
        "http_host",
        "http_port",
        "baseline_schedule",
        "retention_days",
        "log_level",
        "horizon",
        "concurrency",
    ):
        assert getattr(settings, name) == getattr(plain, name), name


@pytest.mark.parametrize("path", ENVIRONMENT_FILES, ids=lambda path: path.name)
def test_every_example_variable_is_explained(path: Path) -> None:
    """Above each variable, or the group of them it belongs to, stands a comment."""
    previous = ""
    for line in path.read_text().splitlines():
        if re.match(r"#?PGGIT_ALERTD_", line):
            assert previous.startswith("#"), line
        previous = line


def test_unit_waits_stops_and_restarts_as_the_daemon_expects() -> None:
    """The unit lets systemd learn readiness and liveness from the daemon, and gives it time to hand its work back."""
    service = unit()
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert int(service["WatchdogSec"]) > 0
    assert service["Restart"] == "always"
    assert int(service["TimeoutStopSec"]) == STOP_TIMEOUT
    grace = Settings.load({"PGGIT_ALERTD_DATABASE_URL": "postgresql://alertd@localhost/pggit"}).shutdown_grace
    assert grace < STOP_TIMEOUT


def test_unit_hands_over_the_database_url_as_a_credential() -> None:
    """The credential that is loaded is the file that the daemon is told to read."""
    text = UNIT.read_text()
    assert "\nLoadCredential=database_url:/etc/pggit-alertd/database_url\n" in text
    assert "\nEnvironment=PGGIT_ALERTD_DATABASE_URL_FILE=%d/database_url\n" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
def test_unit_is_hardened() -> None:
    """The review that systemd itself makes finds an exposure of at most 2.0."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)]
    review = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    assert review.returncode == 0, review.stdout + review.stderr
    assert "Overall exposure level" in review.stdout


def test_compose_starts_the_daemon_after_the_schema() -> None:
    """The daemon waits for `migrate` to end well, which waits for a healthy database."""
    services = compose()["services"]
    assert services["alertd"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert services["migrate"]["command"] == ["migrate", "up"]
    assert services["migrate"]["restart"] == "no"


def test_compose_checks_health_and_grants_nothing() -> None:
    """Every service is read-only and without new privileges; the daemon has no capability and a health check."""
    services = compose()["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    assert "cap_add" not in services["alertd"]
    assert services["alertd"]["healthcheck"]["test"] == ["CMD", "pggit-alertd", "healthcheck", "--live"]
    assert services["alertd"]["stop_grace_period"] == f"{STOP_TIMEOUT}s"


def test_compose_keeps_secrets_in_files_that_its_script_makes() -> None:
    """No password stands in the compose file; each secret is a file, and make-secrets makes each of them."""
    content = compose()
    used = {name for service in content["services"].values() for name in service.get("secrets", [])}
    assert used == set(content["secrets"])
    script = (DEPLOY / "compose" / "make-secrets").read_text()
    for name, secret in content["secrets"].items():
        assert secret["file"] == f"secrets/{name}"
        assert f"secrets/{name}" in script.replace("${role}", name.split("_", maxsplit=1)[0])
    assert not re.search(r"postgresql://\S*:\S+@", COMPOSE.read_text())


def test_image_runs_unprivileged_and_reports_its_health() -> None:
    """The image's user is a number other than root's, and Docker asks the daemon itself whether it is well."""
    stage = final_stage()
    user, group = stage["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert stage["HEALTHCHECK"].endswith('CMD ["pggit-alertd", "healthcheck", "--live"]')
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert stage["ENTRYPOINT"] == '["pggit-alertd"]'
    assert stage["CMD"] == '["run"]'
    assert "RUN" not in stage


def test_image_is_sent_only_what_it_copies() -> None:
    """Every source of a COPY exists and passes .dockerignore, which lets nothing else through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    sources = {
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)
    assert "*" in lines
