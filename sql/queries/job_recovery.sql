-- What: resolves the episodes that are over.
-- Parameters: recovery_after, silence_after (seconds).
-- Index: alert_episode_unchecked, then performance_metrics_pkey and idx_performance_metrics_composite.
SELECT
    resolved.checked,
    resolved.recovered,
    resolved.silent
FROM pggit.resolve_recovered_episodes(
    make_interval(secs => :'recovery_after'::double precision),
    make_interval(secs => :'silence_after'::double precision)
) AS resolved;
