-- Section 2.1, whose body is comments: this is its numbered algorithm, step by step and operation by operation, as it reads.
-- Held changes over 2x are left out (the document names no way to hold one), which makes this a little cheaper than asked.
CREATE OR REPLACE FUNCTION document.recalculate_all_baselines_rolling(
    p_lookback_days INTEGER DEFAULT 7,
    p_min_samples INTEGER DEFAULT 10,
    p_force_recalc BOOLEAN DEFAULT FALSE
)
RETURNS TABLE (
    operation_type TEXT,
    baseline_id BIGINT,
    sample_count INTEGER,
    p99_old_ms NUMERIC,
    p99_new_ms NUMERIC,
    percent_change NUMERIC
) AS $$
#variable_conflict use_column
DECLARE
    v_old document.performance_baselines;
    v_new document.performance_baselines;
BEGIN
    -- For each operation type with enough data:
    FOR operation_type IN
        SELECT t.operation_type FROM pggit.performance_operation_types t WHERE t.is_tracked = TRUE
    LOOP
        SELECT COUNT(*) INTO sample_count
        FROM pggit.performance_metrics pm
        WHERE pm.operation_type = recalculate_all_baselines_rolling.operation_type
          AND pm.recorded_at >= LOCALTIMESTAMP - (p_lookback_days || ' days')::INTERVAL;
        CONTINUE WHEN sample_count < p_min_samples;

        -- 1. Calculate new baseline from last p_lookback_days
        SELECT
            MIN(pm.duration_microseconds),
            MAX(pm.duration_microseconds),
            PERCENTILE_CONT(0.50) WITHIN GROUP (ORDER BY pm.duration_microseconds),
            PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY pm.duration_microseconds),
            PERCENTILE_CONT(0.90) WITHIN GROUP (ORDER BY pm.duration_microseconds),
            PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY pm.duration_microseconds),
            PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY pm.duration_microseconds),
            AVG(pm.duration_microseconds),
            STDDEV(pm.duration_microseconds)
        INTO
            v_new.min_microseconds, v_new.max_microseconds, v_new.p50_microseconds, v_new.p75_microseconds,
            v_new.p90_microseconds, v_new.p95_microseconds, v_new.p99_microseconds, v_new.mean_microseconds,
            v_new.stddev_microseconds
        FROM pggit.performance_metrics pm
        WHERE pm.operation_type = recalculate_all_baselines_rolling.operation_type
          AND pm.recorded_at >= LOCALTIMESTAMP - (p_lookback_days || ' days')::INTERVAL;

        -- 2. Compare to existing baseline
        v_old := NULL;
        SELECT * INTO v_old
        FROM document.performance_baselines pb
        WHERE pb.operation_type = recalculate_all_baselines_rolling.operation_type
          AND pb.branch_id IS NULL AND pb.is_active;
        percent_change := ROUND(100.0 * (v_new.p99_microseconds - v_old.p99_microseconds) / v_old.p99_microseconds, 2);

        -- 3. Update if different by >5% OR force_recalc=TRUE
        CONTINUE WHEN ABS(percent_change) <= 5 AND NOT p_force_recalc;
        UPDATE document.performance_baselines pb SET is_active = FALSE WHERE pb.baseline_id = v_old.baseline_id;
        INSERT INTO document.performance_baselines (
            operation_type, baseline_date, sample_count, min_microseconds, max_microseconds, p50_microseconds,
            p75_microseconds, p90_microseconds, p95_microseconds, p99_microseconds, mean_microseconds,
            stddev_microseconds, calculated_from_days
        ) VALUES (
            recalculate_all_baselines_rolling.operation_type, CURRENT_DATE,
            recalculate_all_baselines_rolling.sample_count, v_new.min_microseconds, v_new.max_microseconds,
            v_new.p50_microseconds, v_new.p75_microseconds, v_new.p90_microseconds, v_new.p95_microseconds,
            v_new.p99_microseconds, v_new.mean_microseconds, v_new.stddev_microseconds, p_lookback_days
        ) RETURNING performance_baselines.baseline_id INTO baseline_id;
        INSERT INTO document.performance_baseline_history (
            operation_type, old_baseline_id, new_baseline_id, old_p99_microseconds, new_p99_microseconds,
            percent_change, reason
        ) VALUES (
            recalculate_all_baselines_rolling.operation_type, v_old.baseline_id,
            recalculate_all_baselines_rolling.baseline_id, v_old.p99_microseconds, v_new.p99_microseconds,
            recalculate_all_baselines_rolling.percent_change,
            CASE WHEN p_force_recalc THEN 'force' ELSE 'scheduled' END
        );

        -- 4. Return change report
        p99_old_ms := v_old.p99_microseconds / 1000.0;
        p99_new_ms := v_new.p99_microseconds / 1000.0;
        RETURN NEXT;
    END LOOP;
END;
$$ LANGUAGE plpgsql;
