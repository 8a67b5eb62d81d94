"""The one line that says what happened."""

from typing import Any

import pytest
from psycopg import AsyncConnection

from support.alerts import Alerts

pytestmark = pytest.mark.servers

CASES: list[tuple[tuple[Any, ...], str]] = [
    (
        ("commit", "THRESHOLD_EXCEEDED", 250_000, 50_000, 5),
        "ALERT: commit exceeded baseline by 5.0x (250ms vs baseline 50ms)",
    ),
    (
        ("commit", "THRESHOLD_EXCEEDED", 12_345, 1_000, 12.345),
        "ALERT: commit exceeded baseline by 12.3x (12ms vs baseline 1ms)",
    ),
    (
        ("commit", "THRESHOLD_EXCEEDED", 180, 20, 9.05),
        "ALERT: commit exceeded baseline by 9.1x (0.18ms vs baseline 0.02ms)",
    ),
    (("c", "THRESHOLD_EXCEEDED", 9_999, 2_500, 0.04), "ALERT: c exceeded baseline by 0.0x (9.999ms vs baseline 2.5ms)"),
    (
        ("c", "THRESHOLD_EXCEEDED", 2**63 - 1, 1, 2**63 - 1),
        "ALERT: c exceeded baseline by 9223372036854775807.0x (9223372036854776ms vs baseline 0.001ms)",
    ),
    (("c", "THRESHOLD_EXCEEDED", 10_000, None, None), "ALERT: c exceeded its threshold (10ms)"),
    (("c", "ANOMALY", 250_000, None, None), "ALERT: c behaves unusually (250ms)"),
    (("c", "ANOMALY", 250_000, 50_000, 5), "ALERT: c behaves unusually (250ms vs baseline 50ms)"),
    (("c", "DEGRADATION", None, None, None), "ALERT: c is getting slower"),
    (("c", "DEGRADATION", 0, 0, None), "ALERT: c is getting slower (0ms vs baseline 0ms)"),
    (("c", "NOVEL", -5, None, None), "ALERT: c needs attention (-0.005ms)"),
    ((None, None, None, None, None), "ALERT: unknown operation needs attention"),
    (("o" * 1000, "ANOMALY", None, None, None), f"ALERT: {'o' * 200} behaves unusually"),
    (("100% %s", "ANOMALY", None, None, None), "ALERT: 100% %s behaves unusually"),
]


async def test_the_message_has_no_holes(connection: AsyncConnection[tuple[Any, ...]]) -> None:
    """Operation, factor to one decimal and durations are said where they are known, and nothing stands for the rest."""
    alerts = Alerts(connection)
    for arguments, expected in CASES:
        assert (
            await alerts.value("SELECT pggit.alert_message(%s, %s, %s::bigint, %s::bigint, %s::numeric)", *arguments)
            == expected
        )


async def test_odd_numbers_make_a_readable_alert(connection: AsyncConnection[tuple[Any, ...]]) -> None:
    """A baseline of zero, a factor that is no number and missing durations are left out of text and snapshot."""
    alerts = Alerts(connection)
    await alerts.setting()
    await alerts.alert(baseline=0)
    await alerts.alert("b", baseline=None)
    await alerts.alert("c", baseline=None)
    await alerts.rows("UPDATE pggit.performance_alerts SET violation_multiplier = 'NaN' WHERE operation_type = 'b'")
    await alerts.rows("UPDATE pggit.performance_alerts SET violation_multiplier = 7.25 WHERE operation_type = 'c'")
    assert await alerts.route() == (3, 3, 0)
    assert await alerts.queue("message, alert -> 'factor'") == [
        ("ALERT: commit exceeded its threshold (250ms vs baseline 0ms)", None),
        ("ALERT: b exceeded its threshold (250ms)", None),
        ("ALERT: c exceeded baseline by 7.3x (250ms)", 7.25),
    ]
