-- For every hour at which the operations may have become slower: how much slower the calls since are than those
-- before, and how unlikely that is by chance. One row per operation and possible change.
--
-- Two random parts are told apart, by analysis of variance of the history's hours: calls differ within an hour, and
-- hours differ from one another (between_hours), each remembering the one before (memory). An hour of k calls has the
-- weight 1 / (between + within / k). So an operation with two calls an hour is judged by its calls, and a busy
-- one by its hours, and neither pretends to know more than it does.
--
-- What the calls since the change are compared with is a mean of the window's earlier hours and of the history, each by
-- its precision. The history knows more, but days differ too; their variance beyond that of the hours is added to it.
-- The change may also lie at or before the window's start: then there is only the history to compare with.
--
-- A tail that grows hardly moves a mean, so the share of slow calls is compared, too: by the signed root of the
-- binomial deviance, because the usual normal approximation takes three slow calls of twenty for certain.
CREATE OR REPLACE FUNCTION pggit.degradation_evidence(
    p_operation_type text,
    p_from timestamp,
    p_to timestamp,
    p_days integer
)
RETURNS TABLE (
    operation_type text,
    change_at timestamp,
    hours_after bigint,
    calls_after double precision,
    log_ratio double precision,
    level_z double precision,
    slow_share_before double precision,
    slow_share_after double precision,
    tail_z double precision
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pggit, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
SET enable_mergejoin = off
AS $$
WITH hour AS MATERIALIZED (
    SELECT
        s.operation_type,
        s.hour_start,
        s.hour_start >= p_from AS in_window,
        date_part('epoch', p_from - s.hour_start) / 3600 AS hours_ago,
        s.call_count::double precision AS calls,
        s.slow_count::double precision AS slow,
        s.score_sum,
        s.score_squares,
        s.level_sum,
        s.score_sum / s.call_count AS score
    FROM pggit.hour_scores(p_operation_type, p_from, p_to, p_days) AS s
),

history_hour AS (
    SELECT
        h.operation_type,
        h.calls,
        h.slow,
        h.level_sum,
        h.score_sum,
        h.score_squares,
        h.score,
        floor((h.hours_ago - 1) / 24) AS days_ago,
        sqrt(h.calls * earlier.calls) AS pair_weight,
        earlier.score AS score_before
    FROM hour AS h
    LEFT JOIN hour AS earlier ON h.operation_type = earlier.operation_type AND h.hours_ago + 1 = earlier.hours_ago
    WHERE NOT h.in_window
),

history_day AS (
    SELECT
        h.operation_type,
        h.days_ago,
        sum(h.calls) AS calls,
        count(*) AS hours,
        sum(h.slow) AS slow,
        sum(h.level_sum) AS level_sum,
        sum(h.score_sum) AS score_sum,
        sum(h.score_squares) AS score_squares,
        sum(h.score_sum * h.score) AS hour_squares,
        sum(h.calls * h.calls) AS calls_squared,
        sum(h.pair_weight) AS pair_weight,
        sum(h.pair_weight * h.score * h.score_before) AS pair_products,
        sum(h.pair_weight * (h.score + h.score_before)) AS pair_sums
    FROM history_hour AS h
    GROUP BY h.operation_type, h.days_ago
),

history AS (
    SELECT
        d.operation_type,
        sum(d.calls) AS calls,
        sum(d.hours) AS hours,
        sum(d.slow) AS slow,
        sum(d.level_sum) / sum(d.calls) AS level,
        sum(d.score_sum) / sum(d.calls) AS mean,
        sum(d.score_squares) AS score_squares,
        sum(d.hour_squares) AS hour_squares,
        sum(d.calls_squared) AS calls_squared,
        sum(d.pair_weight) AS pair_weight,
        sum(d.pair_products) AS pair_products,
        sum(d.pair_sums) AS pair_sums,
        avg(d.calls) AS day_calls,
        coalesce(var_samp(d.score_sum / d.calls) FILTER (WHERE d.calls >= 5), 0) AS day_variance
    FROM history_day AS d
    GROUP BY d.operation_type
    HAVING sum(d.hours) >= 12
),

variance AS (
    SELECT
        h.*,
        greatest(
            CASE
                WHEN h.calls - h.hours >= 30 THEN (h.score_squares - h.hour_squares) / (h.calls - h.hours)
                ELSE h.score_squares / h.calls - h.mean * h.mean
            END,
            1e-6
        ) AS within,
        coalesce(
            (h.pair_products - h.mean * h.pair_sums + h.mean * h.mean * h.pair_weight) / nullif(h.pair_weight, 0), 0
        ) AS covariance
    FROM history AS h
),

-- A twentieth of a standard deviation from hour to hour is assumed where less was seen.
model AS MATERIALIZED (
    SELECT
        v.*,
        least(greatest(v.covariance / part.between_hours, 0), 0.9) AS memory,
        part.between_hours
    FROM variance AS v
    CROSS JOIN LATERAL (
        SELECT greatest(
            (v.hour_squares - v.calls * v.mean * v.mean - (v.hours - 1) * v.within)
            / nullif(v.calls - v.calls_squared / v.calls, 0),
            v.covariance,
            0.0025
        ) AS between_hours
    ) AS part
),

-- In the history hours count by their calls, which is as good there and needs no second look at each.
history_mean AS MATERIALIZED (
    SELECT
        m.operation_type,
        m.between_hours,
        m.within,
        m.memory,
        m.mean AS score,
        m.level,
        m.calls,
        m.slow,
        m.within / m.calls
        + m.between_hours * least(hours.inflation * m.calls_squared / (m.calls * m.calls), 1)
        + 1.3 * greatest(m.day_variance - hours.day_expected, 0) AS variance
    FROM model AS m
    CROSS JOIN LATERAL (
        SELECT
            (1 + m.memory) / (1 - m.memory) AS inflation,
            m.within / m.day_calls + m.between_hours * least((1 + m.memory) / (1 - m.memory) / 24, 1) AS day_expected
    ) AS hours
),

weighted AS (
    SELECT
        h.operation_type,
        h.hour_start,
        h.calls,
        h.slow,
        h.score,
        h.level_sum / h.calls AS level,
        1 / (m.between_hours + m.within / h.calls) AS weight
    FROM hour AS h
    INNER JOIN history_mean AS m ON h.operation_type = m.operation_type
    WHERE h.in_window
),

running AS (
    SELECT
        w.operation_type,
        w.hour_start,
        count(*) OVER since AS hours,
        sum(w.calls) OVER since AS calls,
        sum(w.slow) OVER since AS slow,
        sum(w.weight) OVER since AS weight,
        sum(w.weight * w.weight) OVER since AS weight_squares,
        sum(w.weight * w.score) OVER since AS score,
        sum(w.weight * w.level) OVER since AS level,
        count(*) OVER whole AS all_hours,
        sum(w.calls) OVER whole AS all_calls,
        sum(w.slow) OVER whole AS all_slow,
        sum(w.weight) OVER whole AS all_weight,
        sum(w.weight * w.weight) OVER whole AS all_weight_squares,
        sum(w.weight * w.score) OVER whole AS all_score,
        sum(w.weight * w.level) OVER whole AS all_level
    FROM weighted AS w
    WINDOW
        since AS (PARTITION BY w.operation_type ORDER BY w.hour_start DESC),
        whole AS (PARTITION BY w.operation_type)
),

-- One call since the change proves nothing, nor does one hour.
split AS (
    SELECT
        r.operation_type,
        r.hour_start,
        r.hours,
        r.calls,
        r.slow,
        r.score / r.weight AS score_after,
        r.level / r.weight AS level_after,
        pggit.weighted_mean_variance(r.weight, r.weight_squares, h.between_hours, h.memory) AS variance_after,
        CASE
            WHEN r.all_hours > r.hours THEN (r.all_score - r.score) / (r.all_weight - r.weight) ELSE 0
        END AS score_before,
        CASE
            WHEN r.all_hours > r.hours THEN (r.all_level - r.level) / (r.all_weight - r.weight) ELSE 0
        END AS level_before,
        CASE
            WHEN r.all_hours > r.hours
                THEN 1 / pggit.weighted_mean_variance(
                    r.all_weight - r.weight,
                    greatest(r.all_weight_squares - r.weight_squares, 0),
                    h.between_hours,
                    h.memory
                )
            ELSE 0
        END AS precision_before,
        1 / h.variance AS precision_history,
        h.score AS score_history,
        h.level AS level_history,
        (h.slow + r.all_slow - r.slow) / (h.calls + r.all_calls - r.calls) AS share_before,
        r.slow / r.calls AS share_after
    FROM running AS r
    INNER JOIN history_mean AS h ON r.operation_type = h.operation_type
    WHERE r.hours >= 2 AND r.calls >= 5
),

compared AS (
    SELECT
        s.*,
        s.precision_before + s.precision_history AS precision_all,
        least(greatest(s.share_before, 0.01), 0.99) AS share_usual
    FROM split AS s
)

SELECT
    c.operation_type,
    c.hour_start,
    c.hours,
    c.calls,
    c.level_after
    - (c.precision_before * c.level_before + c.precision_history * c.level_history) / c.precision_all,
    (
        c.score_after
        - (c.precision_before * c.score_before + c.precision_history * c.score_history) / c.precision_all
    ) / sqrt(c.variance_after + 1 / c.precision_all),
    c.share_before,
    c.share_after,
    sign(c.share_after - c.share_usual) * sqrt(2 * c.calls * greatest(
        c.share_after * ln(greatest(c.share_after, 1e-9) / c.share_usual)
        + (1 - c.share_after) * ln(greatest(1 - c.share_after, 1e-9) / (1 - c.share_usual)),
        0
    ))
FROM compared AS c
$$;

COMMENT ON FUNCTION pggit.degradation_evidence(text, timestamp, timestamp, integer) IS
'What speaks for each possible change within a span of full hours, for one operation or all; for degradation_scan. Operations with less than twelve hours of history are left out.';

REVOKE EXECUTE ON FUNCTION pggit.degradation_evidence(text, timestamp, timestamp, integer) FROM PUBLIC;
