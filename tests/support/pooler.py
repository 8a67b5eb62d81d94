"""A real PgBouncer in transaction mode before a test database."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


class Pooler:
    """PgBouncer on a port of its own, which may be stopped and started again."""

    def __init__(self, database: str, log_file: Path) -> None:
        target = conninfo_to_dict(database)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self._folder = Path(str(target["host"])).parent / f"bouncer_{self._port}"
        self._configuration = self._folder / "pgbouncer.ini"
        self._log_file = log_file
        self._identity: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.conninfo = make_conninfo(host="127.0.0.1", port=self._port, dbname=target["dbname"], user="postgres")
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/{target['dbname']}"
        self._folder.mkdir()
        self._configuration.write_text(
            f"[databases]\n* = host={target['host']} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self._port}\nauth_type = any\npool_mode = transaction\nunix_socket_dir =\n"
            "ignore_startup_parameters = extra_float_digits,options\n"
        )
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}
            for path in (self._folder, self._configuration):
                os.chown(path, account.pw_uid, account.pw_gid)

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        assert PGBOUNCER is not None
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - Debian's binary and our own file
                [PGBOUNCER, str(self._configuration)], stdout=log, stderr=log, **self._identity
            )
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=0.1):
                return
            assert self._process.poll() is None, self._log_file.read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)

    def kill(self) -> None:
        """End it at once; its clients and servers see their connections break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder)


@contextlib.contextmanager
def pooled(database: str, log_file: Path) -> Iterator[str]:
    """Run PgBouncer in transaction mode before `database`, and yield the connection string through it."""
    pooler = Pooler(database, log_file)
    try:
        pooler.start()
        yield pooler.conninfo
    finally:
        pooler.close()
