-- The operation types that detectors look at.
-- Parameters: none
-- Index: none; there are few
SELECT t.operation_type
FROM pggit.performance_operation_types AS t
WHERE t.is_tracked
ORDER BY t.operation_type;
