-- The database's present, in its own time zone, which is that of recorded_at.
-- Parameters: none
-- Index: none
SELECT localtimestamp AS database_time, current_setting('TimeZone') AS time_zone;
