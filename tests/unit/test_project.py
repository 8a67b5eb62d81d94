"""What is shipped and what is pinned agree with what the project says of itself."""

import ast
import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / ".ci"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from this checkout, as `make build` does, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)  # noqa: S603 - our own interpreter
    (built,) = folder.glob("*.whl")
    return built


def pins(lock: str) -> dict[str, str]:
    """Return the versions that a lock file pins, by canonical name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (CI / f"lock-{lock}.txt").read_text(), flags=re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_wheel_holds_every_sql_file(wheel: Path) -> None:
    """All of sql/ is inside the wheel, byte for byte: an installed daemon can migrate a database."""
    with zipfile.ZipFile(wheel) as archive:
        for path in sorted((ROOT / "sql").rglob("*.sql")):
            inside = f"pggit_alertd/sql/{path.relative_to(ROOT / 'sql')}"
            assert archive.read(inside) == path.read_bytes(), inside


def test_wheel_holds_the_package_its_types_and_its_license(wheel: Path) -> None:
    """The wheel holds every module, the mark that it is typed, the license and the command."""
    version = PROJECT["version"]
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        commands = archive.read(f"pggit_alertd-{version}.dist-info/entry_points.txt").decode()
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "pggit_alertd").rglob("*.py")}
    assert sources <= names
    assert "pggit_alertd/py.typed" in names
    assert f"pggit_alertd-{version}.dist-info/licenses/LICENSE" in names
    assert "pggit-alertd = pggit_alertd.cli:main" in commands


def test_changelog_speaks_of_this_version() -> None:
    """The version that is built is named in the changelog, released or to be released."""
    assert re.search(rf"\b{re.escape(PROJECT['version'])}\b", (ROOT / "CHANGELOG.md").read_text())


def test_image_is_labeled_with_this_version() -> None:
    """The image's version label and the compose file's tag are the project's version."""
    version = PROJECT["version"]
    assert f"ARG VERSION={version}" in (ROOT / "Dockerfile").read_text()
    assert f"PGGIT_ALERTD_VERSION:-{version}" in (ROOT / "deploy" / "compose" / "compose.yaml").read_text()


@pytest.mark.parametrize(("lock", "extras"), [("run", []), ("embedded", ["embedded"]), ("test", ["embedded", "test"])])
def test_lock_pins_what_the_project_asks_for(lock: str, extras: list[str]) -> None:
    """Every dependency is pinned at a version that pyproject.toml allows; if not, `make lock` has been forgotten."""
    pinned = pins(lock)
    asked = list(PROJECT["dependencies"])
    for extra in extras:
        asked += PROJECT["optional-dependencies"][extra]
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != PROJECT["name"]:
            assert requirement.specifier.contains(pinned[name]), requirement


@pytest.mark.parametrize("lock", ["build", "run", "embedded", "test"])
def test_every_pin_has_a_digest(lock: str) -> None:
    """No package is installed whose bytes were not known when the lock was made."""
    text = (CI / f"lock-{lock}.txt").read_text()
    packages = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n| +#.*\n", "", text, flags=re.MULTILINE))
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text


def test_pip_beside_the_bootstrap_is_the_released_one() -> None:
    """The wheel of pip in the repository has the digest that the bootstrap insists on, and is the only one."""
    digest = re.search(r'PIP_SHA256 = "([0-9a-f]{64})"', (CI / "bootstrap.py").read_text())
    (released,) = CI.glob("*.whl")
    assert digest
    assert hashlib.sha256(released.read_bytes()).hexdigest() == digest[1]
    assert f'HERE / "{released.name}"' in (CI / "bootstrap.py").read_text()


def test_bootstrap_can_be_read_by_a_python_it_turns_away() -> None:
    """A Python as old as 3.6 gets as far as the message that it is too old."""
    ast.parse((CI / "bootstrap.py").read_text(), feature_version=(3, 6))


def test_help_lists_every_word() -> None:
    """`make` alone explains each word that can be typed."""
    text = (ROOT / "Makefile").read_text()
    words = set(re.findall(r"^([a-z]+):", text, flags=re.MULTILINE))
    explained = set(re.findall(r"^([a-z]+):[^#\n]*## \S", text, flags=re.MULTILINE))
    assert words == explained
    assert {"help", "install", "demo", "run", "test", "check", "format", "coverage", "bench", "clean"} <= words
