-- What breakers leave to do: let what waits follow settings that reach another endpoint now, give up what has waited
-- too long, send pages another way, and forget endpoints that nothing names any more; see the functions.
-- Parameters: none
-- Index: alert_notification_queue_due for open destinations (nearly always none), alert_notification_queue_finished
SELECT
    pggit.follow_moved_endpoints() AS moved,
    pggit.give_up_behind_open_breakers() AS given_up,
    pggit.queue_fallbacks() AS rescued,
    pggit.close_unused_breakers() AS closed;
