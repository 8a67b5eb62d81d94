-- Take the escalation steps that are due; see the function.
-- Parameters: limit integer
-- Index: alert_escalation_due
SELECT pggit.escalate_unacknowledged(:'limit'::integer) AS queued;
