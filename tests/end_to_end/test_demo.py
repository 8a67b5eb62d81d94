"""The demo as a newcomer runs it."""

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def demo(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run the demo with its temporary files in `folder`; return status, last line and what it told people."""
    done = subprocess.run(  # noqa: S603 - this very program
        [sys.executable, "-m", "pggit_alertd", "demo", "--json", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    lines = done.stdout.strip().splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for a unix socket."""
    made = Path(tempfile.mkdtemp(prefix="demo-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_every_channel_is_reached_and_nothing_is_left(folder: Path) -> None:
    """In a few seconds each channel has a delivery, an alert escalates, nothing is lost and nothing is left behind."""
    status, result, told = demo(folder, "--duration", "12")
    assert status == 0, told
    assert set(result["delivered"]) == {"email", "slack", "pagerduty"}
    assert all(count >= 1 for count in result["delivered"].values())
    assert result["alerts"] == result["delivered"]["slack"]
    assert result["failed"] == result["lost"] == 0
    assert result["retried"] >= 1
    assert result["escalated"] >= 1
    assert result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert "Slack is back" in told
    assert list(folder.iterdir()) == []


def test_what_is_kept_is_kept(folder: Path) -> None:
    """With --keep database and log stay in the folder named, no server runs on, and a second demo counts anew."""
    kept = folder / "kept"
    status, _, told = demo(folder, "--duration", "6", "--keep", str(kept))
    assert status == 0, told
    assert (kept / "data" / "PG_VERSION").exists()
    assert not (kept / "data" / "postmaster.pid").exists()
    assert "daemon" in (kept / "pggit-alertd.log").read_text()
    status, again, told = demo(folder, "--duration", "6", "--keep", str(kept))
    assert status == 0, told
    assert again["lost"] == 0
    assert again["alerts"] == again["delivered"]["slack"]


def test_a_folder_with_other_things_in_it_is_left_alone(folder: Path) -> None:
    """--keep refuses a folder that holds something else, in one sentence, before anything in it is changed."""
    (folder / "thesis.txt").write_text("mine")
    before = folder.stat()
    status, _, told = demo(folder, "--keep", str(folder))
    assert status == 1
    assert "is not empty and holds no database of an earlier demo" in told
    assert "Traceback" not in told
    assert (folder.stat().st_uid, folder.stat().st_mtime_ns) == (before.st_uid, before.st_mtime_ns)
    status, _, told = demo(folder, "--keep", "/proc/nowhere")
    assert status == 1
    assert "/proc/nowhere can't be made" in told
    assert "Traceback" not in told


def children(folder: Path) -> list[int]:
    """Return a handle for each process that was started with temporary files in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(os.pidfd_open(int(entry.name)))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels tell no child of its parent's end")
def test_a_demo_that_is_killed_leaves_nothing_running(folder: Path) -> None:
    """Daemon and database end with the demo, even if it could not say goodbye."""
    with subprocess.Popen(
        [sys.executable, "-m", "pggit_alertd", "demo", "--stay"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    ) as running:
        assert running.stdout is not None
        told = list(itertools.takewhile(lambda line: "console: " not in line, running.stdout))
        handles = children(folder)
        running.kill()
    # The demo itself, its daemon and the postmaster at least.
    assert len(handles) > 2, told
    gone = select.poll()
    for handle in handles:
        gone.register(handle, select.POLLIN)
    deadline = time.monotonic() + 30
    while handles and time.monotonic() < deadline:
        for handle, _ in gone.poll(1000):
            gone.unregister(handle)
            handles.remove(handle)
            os.close(handle)
    assert handles == []
