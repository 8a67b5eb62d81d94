-- Since when a destination that asks for pauses has got nothing, and the condition that tells of it.

ALTER TABLE pggit.alert_destination ADD COLUMN paused_since timestamptz;

COMMENT ON COLUMN pggit.alert_destination.paused_since IS
'When the pause until paused_until began; pauses that follow one another with no delivery between them are one.';

ALTER TABLE pggit.alertd_condition DROP CONSTRAINT alertd_condition_kind_is_known;
ALTER TABLE pggit.alertd_condition ADD CONSTRAINT alertd_condition_kind_is_known CHECK (
    kind IN (
        'queue_depth', 'queue_age', 'outbox', 'delivery_success', 'destination_open', 'destination_paused',
        'recalculation', 'job_failing', 'job_overdue', 'worker_silent', 'baseline_held'
    )
);

-- They get a parameter more; with both forms there, a call that leaves it out would fit two functions.
DROP FUNCTION IF EXISTS pggit.self_check(
    integer, interval, interval, numeric, integer, integer, interval, interval, interval, text [], timestamptz [],
    interval, interval
);
DROP FUNCTION IF EXISTS pggit.current_conditions(
    integer, interval, interval, numeric, integer, integer, interval, interval, interval, text [], timestamptz []
);
