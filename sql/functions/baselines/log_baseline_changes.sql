-- History by any path: ours, pgGit's calculate_performance_baseline, a plain UPDATE, a cascade from branches.
-- A change is: the baseline in use for an operation and branch is another one than the history says it was, or its
-- figures were edited in place. Comparing with the history rather than with the statement's own rows makes it one row
-- for a replacement whatever comes first (deactivate then insert, insert then deactivate, or both in one statement),
-- and none for switching off a spare active baseline that was not in use.
CREATE OR REPLACE FUNCTION pggit.log_baseline_changes()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
AS $$
DECLARE
    v_was pggit.performance_baselines[];
    v_became pggit.performance_baselines[];
    v_change record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(after_row) INTO v_became FROM new_rows AS after_row WHERE after_row.is_active;
    ELSIF TG_OP = 'UPDATE' THEN
        SELECT array_agg(before_row) INTO v_was FROM old_rows AS before_row WHERE before_row.is_active;
        SELECT array_agg(after_row) INTO v_became FROM new_rows AS after_row WHERE after_row.is_active;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(before_row) INTO v_was FROM old_rows AS before_row WHERE before_row.is_active;
    ELSE
        SELECT array_agg(before_row) INTO v_was FROM pggit.performance_baselines AS before_row WHERE before_row.is_active;
    END IF;

    IF v_was IS NULL AND v_became IS NULL THEN
        RETURN NULL;
    END IF;

    FOR v_change IN
        WITH touched AS (
            SELECT before_row.operation_type, before_row.branch_id FROM unnest(v_was) AS before_row
            UNION
            SELECT after_row.operation_type, after_row.branch_id FROM unnest(v_became) AS after_row
        )
        SELECT
            touched.operation_type,
            touched.branch_id,
            previous.baseline_id AS old_baseline_id,
            coalesce(edited.p99_microseconds, previous.p99_microseconds) AS old_p99,
            active.baseline_id AS new_baseline_id,
            active.p99_microseconds AS new_p99,
            active.sample_count,
            edited.note,
            CASE
                WHEN recorded.status = 'removed' AND recorded.transaction_id = pg_current_xact_id()
                    AND recorded.calculated_at = now() AND active.baseline_id IS NOT NULL
                    THEN recorded.history_id
            END AS completes
        FROM touched
        LEFT JOIN LATERAL (
            SELECT present.* FROM pggit.active_baseline(touched.operation_type, touched.branch_id) AS present
            WHERE TG_OP <> 'TRUNCATE'
        ) AS active ON TRUE
        LEFT JOIN LATERAL (
            SELECT history.*
            FROM pggit.performance_baseline_history AS history
            WHERE history.operation_type = touched.operation_type
                AND history.branch_id IS NOT DISTINCT FROM touched.branch_id
                AND history.status IN ('applied', 'approved', 'removed')
            ORDER BY history.history_id DESC
            LIMIT 1
        ) AS recorded ON TRUE
        LEFT JOIN LATERAL (
            -- Before the first row of history: what was active without this statement.
            SELECT earlier.*
            FROM (
                SELECT before_row.* FROM unnest(v_was) AS before_row
                UNION ALL
                SELECT other.* FROM pggit.performance_baselines AS other
                WHERE other.is_active
                    AND NOT EXISTS (
                        SELECT FROM unnest(v_became) AS after_row WHERE after_row.baseline_id = other.baseline_id
                    )
                    AND TG_OP <> 'TRUNCATE'
            ) AS earlier
            WHERE recorded.history_id IS NULL
                AND earlier.operation_type = touched.operation_type
                AND earlier.branch_id IS NOT DISTINCT FROM touched.branch_id
            ORDER BY earlier.calculation_timestamp DESC, earlier.baseline_id DESC
            LIMIT 1
        ) AS unrecorded ON TRUE
        CROSS JOIN LATERAL (
            SELECT
                CASE WHEN recorded.history_id IS NULL THEN unrecorded.baseline_id ELSE recorded.new_baseline_id END,
                CASE
                    WHEN recorded.history_id IS NULL THEN unrecorded.p99_microseconds
                    ELSE recorded.new_p99_microseconds
                END
        ) AS previous (baseline_id, p99_microseconds)
        LEFT JOIN LATERAL (
            SELECT
                before_row.p99_microseconds,
                'edited in place: ' || (
                    SELECT string_agg(old_field.key, ', ' ORDER BY old_field.key)
                    FROM jsonb_each(to_jsonb(before_row)) AS old_field
                    INNER JOIN jsonb_each(to_jsonb(after_row)) AS new_field USING (key)
                    WHERE old_field.value IS DISTINCT FROM new_field.value
                ) AS note
            FROM unnest(v_was) AS before_row
            INNER JOIN unnest(v_became) AS after_row USING (baseline_id)
            WHERE baseline_id = active.baseline_id AND baseline_id = previous.baseline_id
                AND before_row IS DISTINCT FROM after_row
        ) AS edited ON TRUE
        WHERE active.baseline_id IS DISTINCT FROM previous.baseline_id OR edited.note IS NOT NULL
    LOOP
        IF v_change.completes IS NOT NULL THEN
            UPDATE pggit.performance_baseline_history AS history
            SET
                new_baseline_id = v_change.new_baseline_id,
                new_p99_microseconds = v_change.new_p99,
                percent_change = pggit.baseline_percent_change(history.old_p99_microseconds, v_change.new_p99),
                sample_count = v_change.sample_count,
                status = 'applied'
            WHERE history.history_id = v_change.completes;
        ELSE
            INSERT INTO pggit.performance_baseline_history (
                operation_type, branch_id, old_baseline_id, new_baseline_id, old_p99_microseconds,
                new_p99_microseconds, percent_change, reason, status, sample_count, note
            )
            VALUES (
                v_change.operation_type, v_change.branch_id, v_change.old_baseline_id, v_change.new_baseline_id,
                v_change.old_p99, v_change.new_p99,
                pggit.baseline_percent_change(v_change.old_p99, v_change.new_p99), pggit.baseline_reason(),
                CASE WHEN v_change.new_baseline_id IS NULL THEN 'removed' ELSE 'applied' END,
                v_change.sample_count, v_change.note
            );
        END IF;
    END LOOP;

    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    -- The writer's baseline is worth more than our record of it.
    RAISE WARNING 'the baseline change was not recorded in performance_baseline_history: %', SQLERRM
        USING ERRCODE = SQLSTATE;
    RETURN NULL;
END;
$$;

COMMENT ON FUNCTION pggit.log_baseline_changes() IS
'Trigger: one row in performance_baseline_history for every change of the baseline in use, whoever makes it. Never makes the writer fail: a WARNING tells what could not be recorded.';

REVOKE ALL ON FUNCTION pggit.log_baseline_changes() FROM PUBLIC;

CREATE OR REPLACE TRIGGER log_baseline_changes_insert
AFTER INSERT ON pggit.performance_baselines
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION pggit.log_baseline_changes();

CREATE OR REPLACE TRIGGER log_baseline_changes_update
AFTER UPDATE ON pggit.performance_baselines
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION pggit.log_baseline_changes();

CREATE OR REPLACE TRIGGER log_baseline_changes_delete
AFTER DELETE ON pggit.performance_baselines
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION pggit.log_baseline_changes();

CREATE OR REPLACE TRIGGER log_baseline_changes_truncate
BEFORE TRUNCATE ON pggit.performance_baselines
FOR EACH STATEMENT EXECUTE FUNCTION pggit.log_baseline_changes();
