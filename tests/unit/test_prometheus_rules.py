"""The alert rules: Prometheus reads them, they fire when they should, and every metric in them is one of ours."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pggit_alertd.conditions import Kind
from pggit_alertd.metrics import JOBS, Metrics

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "pggit-alertd.rules.yaml"
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


@promtool
@pytest.mark.parametrize(
    "command", [("check", "rules", str(RULES)), ("test", "rules", str(FOLDER / "pggit-alertd.rules.test.yaml"))]
)
def test_promtool_is_content(command: tuple[str, ...]) -> None:
    """Prometheus' own check accepts the rules, and its own test has them fire and keep silent as they should."""
    done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)  # noqa: S603, S607
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_ask_only_for_series_that_exist() -> None:
    """A metric, kind or job that the daemon doesn't have would make a rule that never fires."""
    page = Metrics().render().decode()
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    for rule in rules:
        for name in re.findall(r"pggit_alertd_[a-z_]+", rule["expr"]):
            assert re.search(rf"^{name}[{{ ]", page, re.MULTILINE), name
        for label, value in re.findall(r'(kind|job)="([a-z_]+)"', rule["expr"]):
            assert value in (set(Kind) if label == "kind" else JOBS)
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
