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


@contextlib.contextmanager
def pooled(database: str, log_file: Path) -> Iterator[str]:
    """Run PgBouncer in transaction mode before `database`, and yield the connection string through it."""
    assert PGBOUNCER is not None
    target = conninfo_to_dict(database)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(str(target["host"])).parent / f"bouncer_{port}"
    folder.mkdir()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={target['host']} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = any\npool_mode = transaction\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("nobody")
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": ()}
        for path in (folder, configuration):
            os.chown(path, account.pw_uid, account.pw_gid)
    with log_file.open("wb") as log:
        process = subprocess.Popen([PGBOUNCER, str(configuration)], stdout=log, stderr=log, **identity)  # noqa: S603
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.1):
                break
            assert process.poll() is None, log_file.read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        yield make_conninfo(host="127.0.0.1", port=port, dbname=target["dbname"], user="postgres")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)
