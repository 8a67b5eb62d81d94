"""The metrics page: rules of Prometheus' naming, and every series there from the start."""

import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pggit_alertd import __version__
from pggit_alertd.channels import NAMES
from pggit_alertd.metrics import CHANNELS, CONTENT_TYPE, JOBS, OUTCOMES, REASONS, Metrics
from pggit_alertd.model import Outcome, Reason, Severity

UNITS = ("_seconds", "_total", "_bytes", "_info", "_ratio")
# Things that are counted in themselves need no unit.
COUNTS = {
    "destinations_stopped",
    "queue_depth",
    "dead_letters",
    "outbox_depth",
    "in_flight",
    "unacknowledged",
    "listener_up",
    "database_up",
    "condition",
    "workers",
    "active_snoozes",
}
ABBREVIATED = re.compile(r"_(?:ms|us|ns|sec|secs|millis|min|minutes|hours|kb|mb|pct|percent)(?:_|$)")


def page(metrics: Metrics | None = None) -> str:
    """Return the page as Prometheus reads it."""
    return (metrics or Metrics()).render().decode()


def test_names_follow_the_conventions() -> None:
    """Each metric has help, a base unit, `_total` if and only if it is a counter, and no type in its name."""
    text = page()
    families = [family for family in text_string_to_metric_families(text) if family.name.startswith("pggit_alertd_")]
    assert len(families) == 33
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"# HELP {name} " in text
        assert family.documentation.endswith(".")
        assert re.fullmatch(r"pggit_alertd(?:_[a-z]+)+", name)
        assert name.endswith(UNITS) or name.removeprefix("pggit_alertd_") in COUNTS
        assert name.endswith("_total") == (family.type == "counter")
        assert not name.endswith(("_bucket", "_count", "_sum"))
        assert not re.search(r"_(?:counter|gauge|histogram|summary)(?:_|$)", name)
        assert not ABBREVIATED.search(name)
        for sample in family.samples:
            assert set(sample.labels) <= {
                "channel", "outcome", "reason", "severity", "status", "state", "loop", "job", "version", "le", "kind"
            }  # fmt: skip


def test_no_job_is_listed_twice() -> None:
    """What goes over the jobs goes over each once."""
    assert len(set(JOBS)) == len(JOBS)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_is_content() -> None:
    """Prometheus' own check finds nothing to say."""
    done = subprocess.run(["promtool", "check", "metrics"], input=page(), text=True, capture_output=True, check=False)  # noqa: S607
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_label_set_is_there_from_the_start() -> None:
    """A first failure is a rise from zero, not the birth of a series, so rate() sees it."""
    text = page()
    for channel in CHANNELS:
        for outcome in (*Outcome, "superseded"):
            assert f'pggit_alertd_deliveries_total{{channel="{channel}",outcome="{outcome}"}} 0.0' in text
        for reason in Reason:
            assert f'pggit_alertd_delivery_attempts_total{{channel="{channel}",reason="{reason.value}"}} 0.0' in text
        assert f'pggit_alertd_delivery_seconds_count{{channel="{channel}"}} 0.0' in text
        assert f'pggit_alertd_queue_depth{{channel="{channel}",status="pending"}} 0.0' in text
    for severity in Severity:
        assert f'pggit_alertd_dwell_seconds_count{{severity="{severity}"}} 0.0' in text
    for job in JOBS:
        assert f'pggit_alertd_job_runs_total{{job="{job}",outcome="failed"}} 0.0' in text
    assert f'pggit_alertd_build_info{{version="{__version__}"}} 1.0' in text


def test_every_channel_is_counted() -> None:
    """The channels that there are and those that have series are the same, in the same order."""
    assert CHANNELS == NAMES


def test_using_the_metrics_makes_no_new_series() -> None:
    """The number of series is the same after use: nothing is labelled with what the outside chooses."""
    metrics = Metrics()
    before = page(metrics).count("\n")
    for channel in CHANNELS:
        for outcome in OUTCOMES:
            metrics.deliveries.labels(channel=channel, outcome=outcome).inc()
        for reason in REASONS:
            metrics.attempts.labels(channel=channel, reason=reason).inc()
        metrics.delivery_seconds.labels(channel=channel).observe(0.0032)
    assert page(metrics).count("\n") == before


def test_short_times_are_told_apart() -> None:
    """3 ms and 4 ms against the goal of 5 ms fall where a slowdown shows."""
    metrics = Metrics()
    metrics.dwell_seconds.labels(severity="CRITICAL").observe(0.003)
    text = page(metrics)
    assert 'pggit_alertd_dwell_seconds_bucket{le="0.0025",severity="CRITICAL"} 0.0' in text
    assert 'pggit_alertd_dwell_seconds_bucket{le="0.005",severity="CRITICAL"} 1.0' in text


def test_registries_are_apart() -> None:
    """Two instances, as in tests, share nothing."""
    first, second = Metrics(), Metrics()
    first.superseded.inc()
    assert "pggit_alertd_superseded_total 1.0" in page(first)
    assert "pggit_alertd_superseded_total 0.0" in page(second)


def test_the_process_shows_cpu_and_memory() -> None:
    """CPU and resident memory are on the same page, under their customary names."""
    text = page()
    assert "process_cpu_seconds_total " in text
    assert "process_resident_memory_bytes " in text
    assert "_created" not in text
    assert CONTENT_TYPE.startswith("text/plain; version=")
