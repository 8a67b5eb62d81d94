"""The disk under the delivery log is full: results wait in memory, nothing more is claimed, nothing is lost."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pggit_alertd.database.embedded import EmbeddedServer
from support.daemon import Stage
from support.scoreboard import Scores, Stopwatch
from support.tally import tally

ALERTS = 400
REFUSE = """
CREATE FUNCTION pg_temp.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END
$$
"""


@pytest.fixture
def small_disk(crashable: EmbeddedServer) -> Iterator[Path | None]:
    """Yield a folder on a file system of 4 MB that the server may write to, or None where nothing can be mounted."""
    # Below the server's own folder, because its account can't enter pytest's.
    folder = crashable.directory / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(  # noqa: S603 - our own arguments
            ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        ).returncode
    )
    if not mounted:
        yield None
        return
    try:
        account = pwd.getpwnam("nobody")
        inside = folder / "space"
        inside.mkdir(mode=0o700)
        for path in (folder, inside):
            os.chown(path, account.pw_uid, account.pw_gid)
        yield inside
    finally:
        try:
            with psycopg.connect(crashable.dsn(), autocommit=True) as connection:
                connection.execute("CHECKPOINT")
                connection.execute("DROP TABLESPACE IF EXISTS small")
        finally:
            subprocess.run(["/usr/bin/umount", "--lazy", str(folder)], check=True)  # noqa: S603 - our own mount


async def log_on(set_up: Stage, disk: Path) -> None:
    """Put every partition of the log, and its indexes, on the small disk."""
    await set_up.alerts.rows(f"CREATE TABLESPACE small LOCATION '{disk}'")
    await set_up.alerts.rows("SELECT pggit.maintain_log_partitions()")
    for (part,) in await set_up.alerts.rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'pggit.alert_notification_log'::regclass"
    ):
        await set_up.alerts.rows(f"ALTER TABLE {part} SET TABLESPACE small")
        for (index,) in await set_up.alerts.rows(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass", part
        ):
            await set_up.alerts.rows(f"ALTER INDEX {index} SET TABLESPACE small")


def fill(disk: Path) -> Path:
    """Write until nothing more fits, and return the file to remove."""
    ballast = disk.parent / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    return ballast


async def test_the_disk_of_the_log_is_full(small_disk: Path | None, set_up: Stage, scores: Scores) -> None:
    """With no room for a log row nothing is acknowledged by halves; with room again everything is stored, once."""
    await set_up.slack()
    if small_disk is not None:
        await log_on(set_up, small_disk)
        fault = "PostgreSQL: disk of the log is full"
    else:
        await set_up.alerts.rows(REFUSE)
        fault = "PostgreSQL: log refuses rows with 53100 (no disk could be mounted)"
    daemon = await set_up.run(http_deadline=4, smtp_deadline=4, lease=9)
    if small_disk is not None:
        ballast = fill(small_disk)
    else:
        await set_up.alerts.rows(
            "CREATE TRIGGER full_disk BEFORE INSERT ON pggit.alert_notification_log"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.full_disk()"
        )
    await set_up.storm(ALERTS)
    told = await daemon.wait_for_event("ack_failed")
    assert "53100" in told["error"]
    assert (await daemon.page("/livez")).status_code == 200
    reply = await daemon.until_page("/readyz", 503)
    assert reply.json()["reasons"]
    received = set_up.http.received
    await daemon.wait_for_event("ack_failed", count=3)
    assert set_up.http.received <= received + 20
    if small_disk is not None:
        ballast.unlink()
    else:
        await set_up.alerts.rows("DROP TRIGGER full_disk ON pggit.alert_notification_log")
    room = Stopwatch()
    await daemon.wait_for_event("ack_recovered")
    await set_up.settled(ALERTS)
    recovery = room.seconds
    await daemon.until_page("/readyz", 200)
    assert await set_up.logged("lost") == {}
    assert await daemon.stop() == 0
    found = await tally(set_up, ALERTS)
    scores.record(fault, sent=ALERTS, lost=found.lost, duplicated=found.twice, recovery=recovery)
