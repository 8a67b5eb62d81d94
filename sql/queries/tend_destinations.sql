-- What breakers leave to do: give up what has waited too long, and send pages another way; see the functions.
-- Parameters: none
-- Index: alert_notification_queue_due for open destinations (nearly always none), alert_notification_queue_finished
SELECT pggit.give_up_behind_open_breakers() AS given_up, pggit.queue_fallbacks() AS rescued;
