import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)  # 15 s of work; on a starved machine that is minutes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run `make accuracy SHORT=1` as it stands, on the seeds for tuning, and return what it wrote."""
    file = tmp_path_factory.mktemp("accuracy") / "accuracy.json"
    command = [sys.executable, "bench/accuracy.py", "--short", "--tuning", "--report", str(file)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)  # noqa: S603
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize(
    ("part", "total", "least_recall"),
    [("points", "all families", 0.5), ("degradation", "all", 0.7), ("correlation", "all pairs", 0.7)],
)
def test_detectors_are_right_where_the_document_raises_false_alarms(
    report: dict[str, Any], part: str, total: str, least_recall: float
) -> None:
    """On the same data ours raises less than a fifth of the document's false alarms, and still finds what is there."""
    ours, document = report[part]["ours"][total], report[part]["document"][total]
    assert document["false"] >= 5
    assert ours["false"] < document["false"] / 5
    assert ours["precision"] > 0.85
    assert ours["recall"] >= least_recall


def test_every_answer_is_counted_once(report: dict[str, Any]) -> None:
    """Headings below a total add up to it, and both detectors were asked the same."""
    points = report["points"]
    for board in points.values():
        families = [each for name, each in board.items() if name.startswith("  ") and name[2] != " "]
        for count in ("found", "missed", "false", "silent"):
            assert sum(each[count] for each in families) == board["all families"][count]
    asked = [each["all families"]["found"] + each["all families"]["missed"] for each in points.values()]
    assert asked[0] == asked[1] > 10


def test_the_report_says_which_seeds_and_which_aims(report: dict[str, Any]) -> None:
    """Figures from tuning seeds can't be taken for held-out ones, and every aim of the parts has an answer."""
    assert report["seeds"]["kind"] == "tuning"
    assert report["short"] is True
    aims = report["aims"]
    for part in ("spikes: precision", "degradation: recall", "correlated: precision"):
        assert any(aim.startswith(part) for aim in aims)
    assert all(isinstance(met, bool) for met in aims.values())
