-- From what residual on a metric of each operation is an anomaly, between two times. What is NULL among the thresholds
-- is taken from anomaly_detection_settings; p_budgeted FALSE leaves the budget out of account.
-- What the budget comes with:
-- * It is for a day's metrics: of n of them, chance alone lifts about `budget` above the z of budget/n. Fewer than
--   6,000 a day count as 6,000, because what goes wrong does so by the call: where calls are few, there is less to find
--   that would outweigh a false alarm. A power law, whose slow calls nothing tells from slowness, gets a sixth of it.
-- * It has to matter: 1.4 times what one call in a thousand takes at least. Closer to it, slowness is improbable only
--   where durations hardly vary, and what season a center does not know is enough.
-- * What one metric in four hundred exceeded is usual, whatever the tail's shape.
CREATE OR REPLACE FUNCTION pggit.anomaly_limits(
    p_operation_types text [],
    p_from timestamp,
    p_to timestamp,
    p_baseline_days integer DEFAULT 7,
    p_sigma_threshold numeric DEFAULT NULL,
    p_false_alarm_budget numeric DEFAULT NULL,
    p_min_ratio numeric DEFAULT NULL,
    p_min_samples integer DEFAULT NULL,
    p_budgeted boolean DEFAULT TRUE
)
RETURNS TABLE (
    operation_type text, profile pggit.performance_latency_profile, zscore_needed double precision,
    cut double precision, low_cut double precision, critical_ratio double precision
)
LANGUAGE sql STABLE ROWS 40
SET search_path = pg_catalog, pggit, pg_temp
AS $$
WITH wanted AS MATERIALIZED (
    SELECT
        p.operation_type,
        p::pggit.performance_latency_profile AS profile,
        s.critical_ratio::double precision AS critical_ratio,
        coalesce(p_min_ratio, s.min_ratio)::double precision AS min_ratio,
        greatest(
            coalesce(p_sigma_threshold, s.sigma_threshold)::double precision,
            CASE
                WHEN p_budgeted THEN pggit.zscore_of_tail(
                    ln(
                        coalesce(p_false_alarm_budget, s.false_alarm_budget)::double precision
                        / CASE
                            WHEN p.tail_shape IS NULL
                                AND p.sample_count >= 300
                                AND p.excess99 > greatest(0.25, 0.85 * p.excess95)
                                THEN 6
                            ELSE 1
                        END
                        / greatest(p.sample_count::double precision / p.day_count, 6000)
                    )
                )
            END
        ) AS zscore_needed
    FROM pggit.anomaly_profiles(
        CASE WHEN cardinality(p_operation_types) = 1 THEN p_operation_types[1] END, p_from, p_to, p_baseline_days
    ) AS p
    INNER JOIN pggit.anomaly_settings(p_operation_types) AS s ON p.operation_type = s.operation_type
    WHERE p.sample_count >= coalesce(p_min_samples, s.min_samples)
)

SELECT
    w.operation_type,
    w.profile,
    w.zscore_needed,
    greatest(
        pggit.anomaly_cut(w.profile, w.zscore_needed, w.min_ratio),
        CASE WHEN p_budgeted THEN greatest(pggit.anomaly_cut(w.profile, 3.09, 1) + ln(1.4), (w.profile).q9975) END
    ),
    (w.profile).q50 - greatest(
        ln(w.min_ratio), w.zscore_needed * (w.profile).spread * (1 + 5.0 / (w.profile).sample_count)
    ),
    w.critical_ratio
FROM wanted AS w
$$;

COMMENT ON FUNCTION pggit.anomaly_limits(
    text [], timestamp, timestamp, integer, numeric, numeric, numeric, integer, boolean
) IS 'The residual above which, and below which, a metric of each operation is an anomaly between two times; no row where too little is known.';

REVOKE EXECUTE ON FUNCTION pggit.anomaly_limits(
    text [], timestamp, timestamp, integer, numeric, numeric, numeric, integer, boolean
) FROM PUBLIC;
