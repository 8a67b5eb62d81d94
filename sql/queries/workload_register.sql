-- What: makes operation types of a generated workload known and tracked.
-- Parameters: names text[], typical double precision[] (milliseconds, in the same order).
-- Index: performance_operation_types_operation_type_key.
INSERT INTO pggit.performance_operation_types (operation_type, category, typical_duration_ms, description)
SELECT given.name, 'workload', round(given.typical::numeric, 1), 'Generated'
FROM unnest(:'names'::text [], :'typical'::double precision []) AS given (name, typical)
ON CONFLICT (operation_type) DO UPDATE SET is_tracked = TRUE;
