"""How right the detectors are: precision, recall and false alarms per operation and day, beside the document's SQL.

    make accuracy [SHORT=1]      .venv/bin/python bench/accuracy.py [--short] [--tuning] [--part points] [--keep DIR]

Workloads with a known truth (pggit_alertd.workload) are stored, folded into histograms and put to the detectors with
p_as_of, as if each day had been the last:

- points: 22 operations in 14 days, 1 call in 1,000 a spike, and bursts; each metric is scored once, with 24 hours of
  lookback. Held to finding what took at least 1.5 times the true p99.9; weaker ones are ignored. A fleet with nothing
  wrong is scored beside it, and an oracle that applies our rule to the true distributions and seasons.
- degradation: 9 shapes x 48, 240 and 1,200 calls a day x 12 trials. Held to finding what is at least 1.3 times slower.
- correlation: scenarios of 12 operations. Held to finding the pairs that a bottleneck slowed together; pairs that
  changed within two hours by coincidence are ignored.
- drift: operations that get slower little by little; how long before the first threshold alert that is found.

Seeds for tuning and for the figures are different, so that what is printed was never tuned to. With --keep, the
databases stay in DIR and the next run begins with scoring: change a detector, run again. Prints tables, says which aims
are missed, writes build/accuracy.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import _correlation
import _degradation
import _drift
import _points
from _arena import Arena
from _score import Board, table

TUNING_SEEDS = (11, 12, 13)
HELD_OUT_SEEDS = {
    "points": (7201, 7202, 7203),
    "degradation": (7101, 7102, 7103),
    "correlation": (7101,),
    "drift": (7001, 7002, 7003),
}
"""Once figures of a part have been read and its detector is changed, the part needs new ones."""
REPORT = Path(__file__).resolve().parent.parent / "build" / "accuracy.json"
PARTS = ("points", "degradation", "correlation", "drift")


def main() -> None:
    """Store, score, print, report."""
    arguments = _arguments()
    parts = arguments.part or (PARTS[:-1] if arguments.short else PARTS)
    numbers = {
        part: (TUNING_SEEDS if arguments.tuning else HELD_OUT_SEEDS[part])[: 1 if arguments.short else None]
        for part in parts
    }
    began = time.perf_counter()
    report: dict[str, Any] = {
        "seeds": {"kind": "tuning" if arguments.tuning else "held out", "numbers": numbers},
        "short": arguments.short,
    }
    aims: list[tuple[str, bool]] = []
    with Arena(folder=arguments.keep, postgres=arguments.postgres, detectors=arguments.detectors) as arena:
        for part, seeds in numbers.items():
            started = time.perf_counter()
            if part == "drift":
                report[part] = _drift.lead(arena, seeds)
                _drift.show(report[part])
                aims += _drift.aims(report[part])
                continue
            contest = {"points": _points, "degradation": _degradation, "correlation": _correlation}[part]
            boards: dict[str, Board] = contest.boards(arena, seeds, short=arguments.short)
            table(contest.TITLE, boards)
            aims += contest.aims(boards["ours"])
            report[part] = {name: board.report() for name, board in boards.items()}
            print(f"({time.perf_counter() - started:.0f} s)")
    report["aims"] = dict(aims)
    report["seconds"] = round(time.perf_counter() - began, 1)
    print()
    for aim, met in aims:
        print(f"{'met   ' if met else 'MISSED'}  {aim}")
    arguments.report.parent.mkdir(exist_ok=True)
    arguments.report.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.short:
        print("One seed and fewer cases: a single false alarm misses an aim. Judge by `make accuracy` without SHORT.")
    print(f"\n{report['seeds']['kind']} seeds, {report['seconds']:.0f} s; {arguments.report}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one seed and fewer cases: under a minute, rough figures")
    parser.add_argument("--tuning", action="store_true", help="the seeds that detectors may be tuned on")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--keep", type=Path, help="keep the databases in this folder, and use those that are there")
    parser.add_argument("--report", type=Path, default=REPORT)
    parser.add_argument("--postgres", type=Path, help="folder with initdb and postgres; the embedded one unless given")
    parser.add_argument("--detectors", type=Path, help="SQL to run over our functions: detectors in the making")
    return parser.parse_args()


if __name__ == "__main__":
    main()
