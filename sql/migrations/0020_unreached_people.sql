-- Two conditions more, of people who are not reached: a mailbox that is refused in mails that others get, and an
-- on-call shift whose config can't be used.

ALTER TABLE pggit.alertd_condition DROP CONSTRAINT alertd_condition_kind_is_known;
ALTER TABLE pggit.alertd_condition ADD CONSTRAINT alertd_condition_kind_is_known CHECK (
    kind IN (
        'queue_depth', 'queue_age', 'outbox', 'delivery_success', 'destination_open', 'destination_paused',
        'recipient_refused', 'oncall_shift', 'recalculation', 'job_failing', 'job_overdue', 'worker_silent',
        'baseline_held'
    )
);

-- Nearly always empty: messages that some of their recipients never get.
CREATE INDEX alert_notification_log_refused ON pggit.alert_notification_log (sent_at)
WHERE status = 'sent' AND reason = 'refused_recipient';
