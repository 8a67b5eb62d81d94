-- What: settings of anomaly detection and entries of its whitelist that count for nothing.
-- Parameters: none.
-- Index: none; there are few.
SELECT idle.subject, idle.problem
FROM pggit.idle_anomaly_settings() AS idle;
