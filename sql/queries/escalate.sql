-- Take the escalation steps that are due; see the function.
-- Parameters: limit integer
-- Index: alert_escalation_due
SELECT s.queued, s.suppressed
FROM pggit.take_escalation_steps(:'limit'::integer) AS s;
