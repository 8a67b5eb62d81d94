"""Beside PgQueuer and procrastinate, on one server in one run, in turn: what the queue costs, and how soon it wakes.

    .venv/bin/python bench/peers.py [--jobs 20000] [--ticks 150] [--rounds 3]

(a) Overhead alone: so many notifications queued, a channel (a job) that does nothing, results stored and every attempt
logged; per second, from the first call of the work function to the last row finished in the table. (b) Idle: one at a
time, milliseconds from the commit to the call of the work function. Ours includes routing and the snapshot, theirs is
the bare job. Each system's worker is one process on uvloop; rounds alternate, because machines drift, and each system's
figure is the median of its rounds, at its best setting. The peers come from PyPI into build/peers-venv, pinned below,
and are no dependency of the project. Prints ratios and writes build/peers.json.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from _arrivals import Arrivals
from _rig import DaemonProcess, Rig, quantiles
from throughput import QUEUE

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / "build" / "peers-venv"
PEERS = ("pgqueuer==1.6.0", "asyncpg==0.32.0", "procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9", "uvloop==0.23.0")
UNFINISHED = {
    "ours": "SELECT EXISTS (SELECT FROM pggit.alert_notification_queue WHERE status = 'pending')",
    "pgqueuer": "SELECT EXISTS (SELECT FROM pgqueuer)",
    "procrastinate": "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
}
LOGGED = {
    "ours": "SELECT count(*) FROM pggit.alert_notification_log WHERE status = 'sent'",
    "pgqueuer": "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'",
    "procrastinate": "SELECT count(*) FROM procrastinate_events WHERE type = 'succeeded'",
}
EMPTY = {
    "ours": "TRUNCATE pggit.alert_notification_queue, pggit.alert_notification_log, pggit.alert_outbox",
    "pgqueuer": "TRUNCATE pgqueuer, pgqueuer_log",
    "procrastinate": "TRUNCATE procrastinate_jobs, procrastinate_events CASCADE",
}
WIDTHS = {"ours": (50, 500, 1000), "bare": (500, 1000), "pgqueuer": (50, 125, 500), "procrastinate": (50,)}
"""Slots per destination, batch, batch, concurrency; each round tries all, and the best median counts."""
ALERT = """
INSERT INTO pggit.performance_alerts (metric_id, operation_type, alert_type, severity, baseline_p99_microseconds,
    actual_duration_microseconds, violation_multiplier, user_name)
VALUES (1, 'bench ' || %s, 'THRESHOLD_EXCEEDED', 'WARNING', 1000, 5000, 5, 'bench') RETURNING alert_id
"""
PEER_NAMES = ("pgqueuer", "procrastinate")
WARM_UP = 5
CELLS = 200_000


def prepare() -> Path:
    """Make the peers' environment if it isn't there, with the pip that the project brings; return its Python."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / ".made-of"
    if not stamp.is_file() or stamp.read_text() != " ".join(PEERS):
        venv.EnvBuilder(with_pip=False, clear=ENVIRONMENT.exists()).create(ENVIRONMENT)
        pip = next((ROOT / ".ci").glob("pip-*.whl"))
        install = [str(python), "-I", f"{pip}/pip", "install", "--quiet", *PEERS]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)  # noqa: S603 - pinned above
        stamp.write_text(" ".join(PEERS))
    return python


@dataclass(frozen=True)
class Overhead:
    """Jobs per second, and the CPU of a job in microseconds: the worker's without its start, and the server's."""

    per_second: float
    worker_cpu: float
    server_cpu: float


def _server_cpu(rig: Rig) -> float:
    """Return the CPU seconds of the server's processes so far, those that have ended included."""
    pid = int((rig.server.data / "postmaster.pid").read_text().split()[0])
    ended = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]).split()[13:15]
    alive = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return sum(int(ticks) for ticks in ended) / os.sysconf("SC_CLK_TCK") + sum(
        DaemonProcess(each).cpu_seconds() for each in (pid, *alive)
    )


class System:
    """One of the three, in a database of the rig's server."""

    def __init__(self, name: str, rig: Rig, python: Path, arrivals: Path) -> None:
        self.name = name
        self._tables = name if name in PEER_NAMES else "ours"
        self._rig = rig
        self._database = name if name in PEER_NAMES else "bench"
        self._command = [str(python), str(HERE / "_peer_worker.py"), name]
        self._arrivals_path = arrivals
        self._arrivals = Arrivals(arrivals)
        if name in PEER_NAMES:
            with psycopg.connect(rig.server.dsn(), autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            self._peer("install")

    def overhead(self, jobs: int, width: int) -> Overhead:
        """Work off so many jobs; return what they took, from the first call to the last row finished."""
        with self._connected() as connection:
            connection.execute(EMPTY[self._tables].encode())
            if self._tables == "ours":
                connection.execute(QUEUE, (jobs,))
            else:
                self._peer("fill", str(jobs))
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
            self._arrivals.clear()
            server_before = _server_cpu(self._rig)
            with self._worker(width) as worker:
                while connection.execute(UNFINISHED[self._tables].encode()).fetchone() == (True,):
                    time.sleep(0.005)  # rarely enough to take no CPU from what is measured
                ended = time.time()
                cpu = worker.cpu_seconds() - self._arrivals.start_cpu
            assert connection.execute(LOGGED[self._tables].encode()).fetchone() == (jobs,)
        micros = 1e6 / jobs
        return Overhead(
            jobs / (ended - self._arrivals.first), cpu * micros, (_server_cpu(self._rig) - server_before) * micros
        )

    def latency(self, ticks: int) -> list[float]:
        """Return milliseconds from each commit to the call of the work function."""
        with self._connected() as connection:
            connection.execute(EMPTY[self._tables].encode())
        self._arrivals.clear()
        with self._worker(WIDTHS[self.name][0]):
            if self.name == "ours":
                return self._alerts(ticks)
            commits = json.loads(self._peer("tick", str(ticks + WARM_UP)))
            called = [self._arrivals.wait(number) for number in range(1, len(commits) + 1)]
        return [(at - commit) * 1000 for at, commit in zip(called, commits, strict=True)][WARM_UP:]

    def _alerts(self, ticks: int) -> list[float]:
        found = []
        with self._connected() as connection:
            for number in range(ticks + WARM_UP):
                row = connection.execute(ALERT, (f"{time.time_ns()} {number}",)).fetchone()
                committed = time.time()
                assert row is not None
                found.append((self._arrivals.wait(row[0]) - committed) * 1000)
                # As in latency.py, and as the peers' pauses.
                time.sleep(0.03 + 0.05 * (time.time_ns() % 1000) / 1000)
        return found[WARM_UP:]

    @contextlib.contextmanager
    def _worker(self, width: int) -> Iterator[DaemonProcess]:
        if self.name == "ours":
            with self._rig.daemon(
                program=(str(HERE / "_noop_daemon.py"),),
                ARRIVALS=str(self._arrivals_path),
                PGGIT_ALERTD_CONCURRENCY=str(width),
                PGGIT_ALERTD_ACK_BATCH=str(max(width, 100)),
                PGGIT_ALERTD_COALESCE="false",
                **{name: value for name, value in os.environ.items() if name == "PROFILE"},
            ) as daemon:
                yield daemon
            return
        url = self._rig.server.url(self._database)
        command = [*self._command, "work", url, str(self._arrivals_path), str(width)]
        if self.name == "bare":
            command = [sys.executable, str(HERE / "_bare_worker.py"), url, str(self._arrivals_path), str(width)]
        with subprocess.Popen(command) as process:  # noqa: S603 - the bench's own script
            try:
                yield DaemonProcess(process.pid)
            finally:
                process.terminate()

    def _connected(self) -> psycopg.Connection:
        return psycopg.connect(self._rig.server.dsn(self._database), autocommit=True)

    def _peer(self, word: str, *more: str) -> str:
        command = [*self._command, word, self._rig.server.url(self._database), *more]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - as above


def measure(systems: Mapping[str, System], jobs: int, rounds: int) -> dict[str, dict[int, list[Overhead]]]:
    """Return what each round took, for each system and width."""
    found: dict[str, dict[int, list[Overhead]]] = {name: {} for name in systems}
    for number in range(1, rounds + 1):
        for name, system in systems.items():
            for width in WIDTHS[name]:
                cost = system.overhead(jobs, width)
                found[name].setdefault(width, []).append(cost)
                print(
                    f"round {number}: {name:<14} width {width:<4} {cost.per_second:8.0f}/s, CPU µs a job: worker "
                    f"{cost.worker_cpu:.0f}, server {cost.server_cpu:.0f}; load {os.getloadavg()[0]:.1f}"
                )
    return found


def wakeups(systems: Mapping[str, System], ticks: int, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds from commit to call of every tick, for each system."""
    waits: dict[str, list[float]] = {name: [] for name in systems if name != "bare"}
    for number in range(1, rounds + 1):
        for name, system in systems.items():
            if name not in waits:
                continue
            waits[name] += (found := system.latency(ticks))
            print(f"round {number}: {name:<14} {json.dumps(quantiles(found))} ms, load {os.getloadavg()[0]:.1f}")
    return waits


def summary(
    costs: Mapping[str, Mapping[int, Sequence[Overhead]]], waits: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Return the medians at each system's best width, the latencies, and how ours compares with the best peer."""
    medians = {
        name: {
            width: {
                field: round(statistics.median(getattr(cost, field) for cost in found))
                for field in ("per_second", "worker_cpu", "server_cpu")
            }
            for width, found in of_width.items()
        }
        for name, of_width in costs.items()
    }
    best = {name: max(each["per_second"] for each in of_width.values()) for name, of_width in medians.items()}
    idle = {name: quantiles(found) for name, found in waits.items()}
    found: dict[str, Any] = {"overhead": medians, "best_per_second": best, "idle_ms": idle}
    peers = [name for name in best if name in PEER_NAMES]
    if "ours" in best and peers:
        found["overhead_ratio"] = round(best["ours"] / max(best[name] for name in peers), 2)
        found["bare_ratio"] = round(best["bare"] / max(best[name] for name in peers), 2)
        for cut in ("p50", "p99"):
            found[f"idle_{cut}_ratio"] = round(idle["ours"][cut] / min(idle[name][cut] for name in peers), 2)
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--ticks", type=int, default=150, help="per system and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=sorted(WIDTHS), help="measure one system alone, for profiles")
    arguments = parser.parse_args()
    python = prepare()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, Rig() as rig:
        path = Path(folder) / "arrivals"
        Arrivals.create(path, CELLS)
        names = [arguments.only] if arguments.only else list(WIDTHS)
        systems = {name: System(name, rig, python, path) for name in names}
        costs = measure(systems, arguments.jobs, arguments.rounds)
        waits = wakeups(systems, arguments.ticks, arguments.rounds)
    found = summary(costs, waits)
    found |= {"jobs": arguments.jobs, "load": [round(load, 1) for load in (load_before, os.getloadavg()[0])]}
    print(json.dumps(found, indent=2))
    if not arguments.only:
        (ROOT / "build" / "peers.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
