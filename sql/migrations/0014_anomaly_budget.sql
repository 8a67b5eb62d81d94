-- Three tenths of a metric a day may look unusual by chance: the tails are described more closely than when the default
-- was half a one, so an operation no longer uses only a part of it. What somebody else has set stays.
UPDATE pggit.anomaly_detection_settings
SET false_alarm_budget = 0.3
WHERE operation_type = '*' AND false_alarm_budget = 0.5;
