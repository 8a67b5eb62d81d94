"""What is done by the clock: baselines, retention, detection, recovery, and watching ourselves."""

from typing import Annotated

from pydantic import SecretStr

from pggit_alertd.settings import values
from pggit_alertd.settings.delivery import DeliverySettings
from pggit_alertd.settings.fields import setting


class ScheduleSettings(DeliverySettings):
    """Jobs, and what the self-check holds to be trouble. After delivery's, which is the order of the reference."""

    baseline_schedule: Annotated[str, values.CRON] = setting(
        "Schedule", "When baselines are recalculated.", "0 2 * * *"
    )
    baseline_lookback_days: Annotated[int, values.whole(1, 365)] = setting(
        "Schedule", "How many days of measurements a baseline is made from.", 7
    )
    baseline_min_samples: Annotated[int, values.whole(1, 1_000_000)] = setting(
        "Schedule", "The fewest measurements a baseline is made from.", 10
    )
    baseline_shadow_days: Annotated[int, values.whole(0, 60)] = setting(
        "Schedule",
        "How many days a recalculated baseline is tried beside the old one before it is used; 0 uses it at once.",
        0,
    )
    retention_schedule: Annotated[str, values.CRON] = setting("Schedule", "When old rows are removed.", "30 3 * * *")
    retention_days: Annotated[int, values.whole(1, 3650)] = setting(
        "Schedule", "How many days delivery log, finished queue rows and job runs are kept.", 90
    )
    partition_schedule: Annotated[str, values.CRON] = setting(
        "Schedule", "When the delivery log's next partitions are made.", "15 * * * *"
    )
    settings_audit_days: Annotated[int, values.whole(1, 36500)] = setting(
        "Schedule", "How many days it is kept who changed which notification setting.", 1095
    )
    merge_rollup_schedule: Annotated[str, values.CRON] = setting(
        "Schedule", "When merges are summed up for the merge dashboards.", "*/10 * * * *"
    )
    window_schedule: Annotated[str, values.CRON] = setting(
        "Schedule", "When recurring maintenance windows are worked out two weeks ahead.", "45 * * * *"
    )
    degradation_schedule: Annotated[str, values.CRON] = setting(
        "Schedule", "When operations are looked at that became slower within the last day.", "10 * * * *"
    )
    anomaly_schedule: Annotated[str, values.CRON] = setting(
        "Schedule", "When unusual metrics are looked for among those recorded since the last time.", "* * * * *"
    )
    profile_schedule: Annotated[str, values.CRON] = setting(
        "Schedule", "When latency histograms and what is usual for each operation are brought up to date.", "3 * * * *"
    )

    muted_still: Annotated[float, values.duration(1, 7 * 86400)] = setting(
        "Suppression",
        "When a window that muted alerts ends, those of an operation are sent if one came this long before the end.",
        15 * 60.0,
    )

    recovery_schedule: Annotated[str, values.CRON] = setting(
        "Lifecycle", "When open alerts are looked at, to resolve those whose operation is back to normal.", "* * * * *"
    )
    recovery_after: Annotated[float, values.duration(0, 7 * 86400)] = setting(
        "Lifecycle",
        "How long an operation must raise no alert, and be measured as normal since the last, until it counts as "
        "recovered.",
        900.0,
    )
    episode_silence: Annotated[float, values.duration(60, 30 * 86400)] = setting(
        "Lifecycle",
        "How long after its last alert an episode ends even though nothing was measured. A later alert pages again.",
        86400.0,
    )

    watch_schedule: Annotated[str, values.CRON] = setting(
        "Watch", "When the alerting is checked for what is wrong with itself.", "* * * * *"
    )
    watch_queue_depth: Annotated[int, values.whole(1, 10_000_000)] = setting(
        "Watch", "More notifications than this waiting is a condition (`queue_depth`) ...", 500
    )
    watch_queue_hold: Annotated[float, values.duration(0, 86400)] = setting(
        "Watch", "... once it has lasted this long.", 1800.0
    )
    watch_oldest_due: Annotated[float, values.duration(1, 86400)] = setting(
        "Watch",
        "How long an alert may wait to be routed (`outbox`), or a due notification to be sent (`queue_age`).",
        300.0,
    )
    watch_success_percent: Annotated[int, values.whole(0, 100)] = setting(
        "Watch",
        "Fewer deliveries of the last hour than this many in a hundred is a condition (`delivery_success`) ...",
        95,
    )
    watch_success_minimum: Annotated[int, values.whole(1, 1_000_000)] = setting(
        "Watch", "... if at least this many were sent or given up.", 20
    )
    watch_job_failures: Annotated[int, values.whole(1, 100)] = setting(
        "Watch", "How often in a row a scheduled job may fail before it is a condition (`job_failing`).", 3
    )
    watch_job_overdue: Annotated[float, values.duration(60, 7 * 86400)] = setting(
        "Watch",
        "How long after its slot a job must have succeeded (`job_overdue`, and `recalculation` for the baselines).",
        7200.0,
    )
    watch_worker_silence: Annotated[float, values.duration(60, 86400)] = setting(
        "Watch", "How long a replica that did not end in order may give no sign of life (`worker_silent`).", 180.0
    )
    watch_worker_forgotten: Annotated[float, values.duration(60, 30 * 86400)] = setting(
        "Watch", "After this long a silent replica is taken for one that will not come back.", 86400.0
    )
    watch_destination_paused: Annotated[float, values.duration(60, 30 * 86400)] = setting(
        "Watch",
        "A destination that asks for a longer pause than this, in all, is a condition (`destination_paused`).",
        900.0,
    )
    watch_hold: Annotated[float, values.duration(0, 86400)] = setting(
        "Watch", "How long other conditions that may heal by themselves must last before anybody is told.", 60.0
    )
    watch_clear: Annotated[float, values.duration(0, 86400)] = setting(
        "Watch", "How long a condition must be away before it is told to be over.", 120.0
    )
    watch_repeat: Annotated[float, values.duration(60, 30 * 86400)] = setting(
        "Watch", "A condition that lasts is told again after this long.", 86400.0
    )
    heartbeat_url: Annotated[SecretStr | None, values.PING] = setting(
        "Watch",
        "A dead man's switch, like a check of healthchecks.io: it gets a POST while alerts are really being routed, "
        "claimed and acknowledged, so that its silence tells what this program no longer can.",
        None,
    )
    heartbeat_interval: Annotated[float, values.duration(1, 86400)] = setting("Watch", "How often it is told.", 60.0)
