-- What: takes generated metrics in.
-- Parameters: none; the rows follow as text.
-- Index: none is read; all of performance_metrics' are written.
COPY pggit.performance_metrics (
    operation_type, duration_microseconds, duration_ms, start_time, end_time, user_name, recorded_at, period_start
) FROM STDIN;
