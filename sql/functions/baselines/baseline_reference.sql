-- A drift of 5 % a day passes every rule that compares with yesterday, and is 4.3x after a month. So a candidate is
-- also compared with what was in use four weeks ago, or with the oldest that is known if that is younger, or with what
-- a human approved or forced since. The last change before that time was in use at it.
-- A set of one, because PostgreSQL then plans it together with the query around it.
CREATE OR REPLACE FUNCTION pggit.baseline_reference(
    p_operation_type text,
    p_branch_id integer DEFAULT NULL,
    p_as_of timestamp DEFAULT NULL
)
RETURNS SETOF bigint
LANGUAGE sql
STABLE
AS $$
    SELECT coalesce(
        (
            SELECT history.new_p99_microseconds
            FROM pggit.performance_baseline_history AS history
            WHERE history.operation_type = p_operation_type
                AND history.branch_id IS NOT DISTINCT FROM p_branch_id
                AND history.status IN ('applied', 'approved')
                AND (
                    history.status = 'approved' OR history.reason = 'force'
                    OR history.calculated_at <= coalesce(p_as_of::timestamptz, now()) - interval '28 days'
                )
                AND (p_as_of IS NULL OR history.calculated_at <= p_as_of)
            ORDER BY history.history_id DESC
            LIMIT 1
        ),
        (
            SELECT coalesce(history.old_p99_microseconds, history.new_p99_microseconds)
            FROM pggit.performance_baseline_history AS history
            WHERE history.operation_type = p_operation_type
                AND history.branch_id IS NOT DISTINCT FROM p_branch_id
                AND history.status IN ('applied', 'approved')
                AND (p_as_of IS NULL OR history.calculated_at <= p_as_of)
            ORDER BY history.history_id
            LIMIT 1
        )
    )
$$;

COMMENT ON FUNCTION pggit.baseline_reference(text, integer, timestamp) IS
'The p99 that a slow drift of an operation is measured against: that of 28 days ago (before p_as_of), or the oldest known, or the last that a human approved or forced. NULL without history.';

REVOKE EXECUTE ON FUNCTION pggit.baseline_reference(text, integer, timestamp) FROM PUBLIC;
