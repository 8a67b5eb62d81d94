-- Baselines can be planned as of a past moment, by a parameter more. With both forms there, a call that leaves it out
-- would fit two functions; their files make them afresh.
DROP FUNCTION IF EXISTS pggit.preview_baselines_rolling(integer, integer, boolean, integer);
DROP FUNCTION IF EXISTS pggit.plan_baselines(integer, integer, boolean, text, integer, integer);
DROP FUNCTION IF EXISTS pggit.baseline_candidates(integer, integer, text, integer, bigint);
DROP FUNCTION IF EXISTS pggit.exact_latency_figures(timestamp, text, integer);
DROP FUNCTION IF EXISTS pggit.histogram_latency_figures(timestamp, text);
DROP FUNCTION IF EXISTS pggit.baseline_reference(text, integer);
