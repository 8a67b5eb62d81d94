-- What: recalculates every tracked operation's baseline over the last days.
-- Parameters: days, min_samples, shadow_days.
-- Index: what recalculate_all_baselines_rolling says.
SELECT
    rolled.operation_type,
    rolled.baseline_id
FROM pggit.recalculate_all_baselines_rolling(
    :'days'::integer, :'min_samples'::integer, FALSE, :'shadow_days'::integer
) AS rolled;
