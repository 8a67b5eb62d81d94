"""The previous release's code on this schema: its daemon works on while the database is upgraded under it.

Its text comes out of the history; where that is not at hand (a shallow clone, an unpacked archive), there is
nothing to try.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import psycopg
import pytest

from pggit_alertd.database import migrate
from support.daemon import as_url, stage

PREVIOUS = "84af20dae8753261c637e0b10f4d56e21d374081"
"""The last state before migration 0015; to be moved on with each release."""
ROOT = Path(__file__).resolve().parents[2]
SPEAKS = re.compile(r"(?i)\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")

Shape = tuple[list[int], list[tuple[bytes, int]]]


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the previous release's src and sql."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not here")
    command = [git, "-C", str(ROOT), "archive", PREVIOUS, "src", "sql"]
    archive = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - a fixed command
    if archive.returncode:
        pytest.skip(f"the history has no {PREVIOUS}: {archive.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def upgradable(empty_database: str, previous: Path) -> str:
    """Return a database with the schema that the previous release's own command has made."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(previous / "src"),
        "PGGIT_ALERTD_DATABASE_URL": as_url(empty_database),
    }
    command = [sys.executable, "-m", "pggit_alertd", "migrate", "up"]
    subprocess.run(command, check=True, env=environment, capture_output=True)  # noqa: S603 - our own program
    return empty_database


def shapes(dsn: str, folder: Path) -> dict[str, Shape | str]:
    """Return what each statement of a release takes and gives on this schema: types of parameters, names and types."""
    found: dict[str, Shape | str] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for path in sorted((folder / "sql" / "queries").glob("*.sql")):
            bare = re.sub(r"--[^\n]*", "", path.read_text())
            if not SPEAKS.match(bare):
                continue
            text = bare
            for number, name in enumerate(dict.fromkeys(re.findall(r":'(\w+)'", bare)), 1):
                text = text.replace(f":'{name}'", f"${number}")
            prepared = connection.pgconn.prepare(path.stem.encode(), text.encode())
            if message := prepared.error_message:
                found[path.stem] = message.decode()
                continue
            told = connection.pgconn.describe_prepared(path.stem.encode())
            found[path.stem] = (
                [told.param_type(number) for number in range(told.nparams)],
                [(told.fname(number) or b"", told.ftype(number)) for number in range(told.nfields)],
            )
    return found


async def test_every_statement_of_the_previous_release_means_the_same_here(upgradable: str, previous: Path) -> None:
    """After the upgrade each statement of the previous release can be planned, and gives the columns it gave before."""
    before = shapes(upgradable, previous)
    assert len(before) > 80
    assert not [name for name, shape in before.items() if isinstance(shape, str)]
    await migrate.up(upgradable)
    after = shapes(upgradable, previous)
    assert {name: shape for name, shape in after.items() if shape != before[name]} == {}


async def test_the_previous_release_s_daemon_works_on_beside_this_one(upgradable: str, previous: Path) -> None:
    """An upgrade while the old daemon runs costs nothing: it delivers on, beside the new one too, each alert once."""
    async with stage(upgradable) as set_up:
        await set_up.slack()
        old = await set_up.spawn(inherited={"PYTHONPATH": str(previous / "src")})
        await old.ready()
        await set_up.storm(1, operation="before")
        await set_up.settled(1)
        await migrate.up(upgradable)
        await set_up.storm(20, operation="upgraded")
        await set_up.settled(21)
        assert (await old.page("/livez")).status_code == 200, "/readyz says that it is to be upgraded"
        new = await set_up.run()
        await set_up.storm(40, operation="both")
        await set_up.settled(61)
        assert [await each.stop() for each in (old, new)] == [0, 0]
        assert await set_up.statuses() == {"sent": 61}
        assert set(set_up.requests().values()) == {1}
        assert not [each for each in old.events if each.get("level") in {"error", "critical"}]
