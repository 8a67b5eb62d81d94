"""Fixtures that every test may use: real PostgreSQL servers and fresh databases on them."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from pggit_alertd.database import migrate
from pggit_alertd.database.embedded import EmbeddedServer
from support.pooler import PGBOUNCER, pooled

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
# More to run on: PGGIT_TEST_SERVERS="16=/opt/postgresql-16/bin 17=/usr/lib/postgresql/17/bin".
MORE = dict(each.split("=", 1) for each in os.environ.get("PGGIT_TEST_SERVERS", "").split())
BINARIES = {"15": DEBIAN_15} if DEBIAN_15.is_dir() else {}
BINARIES |= {release: Path(folder) for release, folder in MORE.items()}
OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "synchronous_commit": "off",
    "autovacuum_naptime": "1h",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


RAM_DISK = Path("/dev/shm")  # noqa: S108 - Linux's, and each run has a folder of its own there
RAM_BYTES = 6 * 2**30
TURNING_SECONDS = 30.0
"""Longer than any test of months lasts."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of this suite, and put temporary files where copying a database costs a tenth."""
    # How long an example takes says how busy the machine is, not whether the property holds.
    settings.register_profile("suite", deadline=None)
    settings.load_profile("suite")
    config.addinivalue_line(
        "markers", "servers: runs on every PostgreSQL release at hand (18, Debian's 15, PGGIT_TEST_SERVERS)"
    )
    if "TMPDIR" in os.environ or not RAM_DISK.is_dir() or shutil.disk_usage(RAM_DISK).free < RAM_BYTES:
        return
    for left in RAM_DISK.glob("alertd-*"):
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = RAM_DISK / f"alertd-{os.getpid()}"
    folder.mkdir(mode=0o711)
    # What tests keep in files stays where it is: a unix socket's path has room for a hundred characters.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the embedded 18, or on every release at hand if it is marked `servers`."""
    if "server" in metafunc.fixturenames:
        releases = ["18"]
        if metafunc.definition.get_closest_marker("servers"):
            releases += BINARIES
        metafunc.parametrize("server", releases, indirect=True, scope="session")


class Cluster:
    """A running server and the migrated template that test databases are copied from."""

    def __init__(self, release: str) -> None:
        self.release = release
        self.server = EmbeddedServer(binaries=BINARIES.get(release), options=OPTIONS).start()
        self._numbers = itertools.count(1)
        self._template: str | None = None

    def create(self, template: str | None = None) -> str:
        """Create a database, as a copy of `template` if one is named, and return its name."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(template or "template0")
                )
            )
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def template(self) -> str:
        """Return the name of a database that is migrated and otherwise empty."""
        if self._template is None:
            name = self.create()
            asyncio.run(migrate.up(self.server.dsn(name)))
            self._template = name
        return self._template


@pytest.fixture(scope="session")
def clusters() -> Iterator[dict[str, Cluster]]:
    """Keep every server that a test asked for until the session ends."""
    running: dict[str, Cluster] = {}
    yield running
    for cluster in running.values():
        cluster.server.stop()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, clusters: dict[str, Cluster]) -> Cluster:
    """Return a running server of the release the test is run on."""
    release = request.param
    if release not in clusters:
        clusters[release] = Cluster(release)
    return clusters[release]


@pytest.fixture
def empty_database(server: Cluster) -> Iterator[str]:
    """Yield the connection string of a new, empty database."""
    name = server.create()
    yield server.server.dsn(name)
    server.drop(name)


@pytest.fixture
def database(server: Cluster) -> Iterator[str]:
    """Yield the connection string of a new database with the whole schema in it."""
    name = server.create(server.template())
    yield server.server.dsn(name)
    server.drop(name)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Yield an autocommit connection to `database`."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as opened:
        yield opened


@pytest.fixture
async def one_month() -> None:
    """Give the test a month that does not end on it: the last seconds of one, by UTC, are waited out."""
    now = datetime.now(UTC)
    left = (now.replace(day=1, hour=0, minute=0, second=0) + timedelta(days=32)).replace(day=1) - now
    if left.total_seconds() < TURNING_SECONDS:
        await asyncio.sleep(left.total_seconds())


@pytest.fixture
def pgbouncer(database: str, tmp_path: Path) -> Iterator[str]:
    """Yield a connection string to `database` through PgBouncer in transaction mode."""
    if PGBOUNCER is None:
        pytest.skip("this machine has no PgBouncer")
    with pooled(database, tmp_path / "pgbouncer.log") as conninfo:
        yield conninfo
