"""Degradation where there is nothing: an empty installation, NULL and unknown names, metrics in no histogram."""

import pytest

from support.alerts import Alerts

pytestmark = pytest.mark.servers


async def test_an_empty_installation_is_insufficient_not_stable(alerts: Alerts) -> None:
    """Without a metric every operation is INSUFFICIENT_DATA, nothing is scored, paired or told."""
    scanned = await alerts.rows("SELECT DISTINCT severity, kind, began_at FROM pggit.degradation_scan()")
    assert scanned == [("INSUFFICIENT_DATA", "unknown", None)]
    assert await alerts.rows("SELECT * FROM pggit.detect_correlated_degradation()") == []
    assert await alerts.value("SELECT pggit.refresh_hour_scores()") == 0
    assert await alerts.rows(
        "SELECT insufficient > 30, judged, degraded, told FROM pggit.raise_degradation_alerts()"
    ) == [(True, 0, 0, 0)]
    for nothing in ("NULL", "'x'"):
        for statement in (
            f"pggit.degradation_evidence({nothing}, '2026-01-01', '2026-01-02', 7)",
            f"pggit.hour_scores({nothing}, '2026-01-01', '2026-01-02', 7)",
            f"pggit.score_references({nothing}, '2026-01-01', '2026-01-02')",
            f"pggit.score_hours({nothing}, '2026-01-01', '2026-01-02', '{{}}')",
            "pggit.degradation_change_times(NULL, NULL, NULL, NULL)",
            "pggit.degradation_change_times('{}', '{}', '{}', '{}')",
            f"pggit.compare_halves({nothing}, '2026-01-01', '2026-01-02')",
            f"pggit.typical_metric({nothing}, '2026-01-01', '2026-01-02')",
        ):
            assert await alerts.rows(f"SELECT * FROM {statement}") == [], statement  # noqa: S608
        assert await alerts.value(f"SELECT pggit.average_latency({nothing}, '2026-01-01', '2026-01-02')") is None
        assert await alerts.value(f"SELECT pggit.has_latency_history({nothing}, '2026-01-01', '2026-01-02')") is False
    for alert in ("NULL", "7"):
        assert await alerts.value(f"SELECT pggit.degradation_note({alert})") is None
    assert await alerts.value("SELECT pggit.latency_score(NULL, 0, 1, 2, 3)") is None


async def test_scores_follow_the_quantiles_and_end(alerts: Alerts) -> None:
    """The median scores 0, the quantiles what a normal has there, and neither side goes on for ever."""
    scores = await alerts.column(
        "SELECT round(pggit.latency_score(r, 0, 1, 2, 3)::numeric, 3)"
        " FROM unnest(ARRAY[-99, -1, 0, 0.6745, 2, 3, 99]) AS r"
    )
    assert [float(each) for each in scores] == [-2.5, -1.0, 0.0, 0.675, 1.645, 2.326, 3.2]


async def test_averages_of_any_span_are_exact(alerts: Alerts) -> None:
    """Whole hours come from histograms, their parts from metrics, and the average is that of the metrics alone."""
    await alerts.rows(
        """
        INSERT INTO pggit.performance_metrics (operation_type, duration_microseconds, duration_ms, start_time, end_time,
            user_name, recorded_at, period_start)
        SELECT 'commit', 1000 * n, n, at, at + interval '1 s', 'app', at, date_trunc('day', at)
        FROM generate_series(1, 300) AS n
        CROSS JOIN LATERAL (SELECT localtimestamp - n * interval '1 minute') AS moment (at)
        """
    )
    wanted = """
        SELECT round(avg(m.duration_microseconds), 3) - round(pggit.average_latency('commit', s.begins, s.ends), 3)
        FROM unnest(
            ARRAY[{0} - interval '4 h 13 min', {0} - interval '20 min', {0} - interval '3 h'],
            ARRAY[{0} - interval '31 min', {0}, {0} - interval '1 h']
        ) AS s (begins, ends)
        INNER JOIN pggit.performance_metrics AS m ON m.recorded_at >= s.begins AND m.recorded_at < s.ends
        GROUP BY s.begins, s.ends
    """
    for clock in ("localtimestamp", "date_trunc('hour', localtimestamp)"):
        assert await alerts.column(wanted.format(clock)) == [0, 0, 0]
    await alerts.value("SELECT pggit.refresh_performance_histograms()")
    for clock in ("localtimestamp", "date_trunc('hour', localtimestamp)"):
        assert await alerts.column(wanted.format(clock)) == [0, 0, 0]
