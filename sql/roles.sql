-- Who may do what. Three group roles without login; grant them to login roles: GRANT pggit_alertd_daemon TO alertd;
--   pggit_alertd_daemon    runs the daemon: reads weeks 1-2, works the queue, writes log and schedule
--   pggit_alertd_operator  keeps settings, decides baselines, mutes and sends alerts again, reads everything of ours
--   pggit_alertd_reader    reads queue, log, history and schedule; no setting's config
-- PUBLIC has nothing on our tables and next to nothing on our functions. Writers of alerts need no grant of ours: the
-- triggers run as their owner.
-- Roles belong to the whole cluster, so another database's migration may create them at the same moment.

DO $$
DECLARE
    v_role text;
BEGIN
    FOREACH v_role IN ARRAY ARRAY['pggit_alertd_daemon', 'pggit_alertd_operator', 'pggit_alertd_reader'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = v_role);
        IF NOT EXISTS (
            SELECT FROM pg_catalog.pg_roles AS me
            WHERE me.rolname = current_user AND (me.rolsuper OR me.rolcreaterole)
        ) THEN
            RAISE NOTICE 'role % is missing, and % may not create it; nothing is granted until somebody who may '
                'create roles runs pggit-alertd migrate up', v_role, current_user;
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            RAISE NOTICE 'role % was created by another database''s migration at the same moment', v_role;
        END;
    END LOOP;
END
$$;

REVOKE ALL ON TABLE
pggit.alertd_migration,
pggit.alert_outbox,
pggit.alert_notification_settings,
pggit.alert_destination,
pggit.alert_notification_queue,
pggit.alert_group,
pggit.alert_notification_log,
pggit.alert_notification_log_default,
pggit.alertd_worker,
pggit.performance_baseline_history,
pggit.scheduled_job,
pggit.scheduled_job_run,
pggit.alert_episode,
pggit.alert_episode_member,
pggit.alert_lifecycle_event,
pggit.alert_lifecycle_policy,
pggit.alert_escalation_step,
pggit.alert_escalation,
pggit.oncall_shift,
pggit.effective_notification_config,
pggit.performance_metric_histogram,
pggit.performance_metric_histogram_day,
pggit.performance_latency_profile,
pggit.alert_finding,
pggit.baseline_rollout_day,
pggit.alert_severity_rule,
pggit.performance_hour_score,
pggit.performance_score_reference,
pggit.performance_score_span,
pggit.degradation_setting,
pggit.degradation_state,
pggit.anomaly_detection_settings,
pggit.anomaly_whitelist,
pggit.whitelisted_metric,
pggit.anomaly_episode,
pggit.anomaly_scan_state,
pggit.notification_settings_audit,
pggit.v_alert_history,
pggit.branch_ref,
pggit.alertd_condition,
pggit.v_system_health,
pggit.v_notification_delivery,
pggit.v_notification_failures,
pggit.alert_snooze,
pggit.alert_snooze_occurrence,
pggit.alert_muted,
pggit.v_active_snoozes,
pggit.merge_rollup,
pggit.merge_pair_rollup,
pggit.merge_hour_rollup,
pggit.merge_coverage,
pggit.merge_figure,
pggit.merge_part,
pggit.v_merge_bottleneck_analysis,
pggit.v_merge_success_tracking,
pggit.v_merge_phase_timeline,
pggit.v_merge_conflict_analysis,
pggit.v_baseline_health
FROM PUBLIC;

DO $$
BEGIN
    IF (
        SELECT count(*) FROM pg_catalog.pg_roles AS r
        WHERE r.rolname IN ('pggit_alertd_daemon', 'pggit_alertd_operator', 'pggit_alertd_reader')
    ) < 3 THEN
        RETURN;
    END IF;

    GRANT USAGE ON SCHEMA pggit TO pggit_alertd_daemon, pggit_alertd_operator, pggit_alertd_reader;

    -- Weeks 1 and 2: to look at, never to change. Recalculation writes baselines as its owner.
    GRANT SELECT ON TABLE
    pggit.branches,
    pggit.performance_operation_types,
    pggit.performance_metrics,
    pggit.performance_baselines,
    pggit.performance_alerts,
    pggit.merge_performance_metrics
    TO pggit_alertd_daemon, pggit_alertd_operator;

    GRANT SELECT ON TABLE
    pggit.alertd_migration,
    pggit.alert_outbox,
    pggit.alert_destination,
    pggit.alert_notification_queue,
    pggit.alert_group,
    pggit.alert_notification_log,
    pggit.alertd_worker,
    pggit.performance_baseline_history,
    pggit.scheduled_job,
    pggit.scheduled_job_run,
    pggit.alert_episode,
    pggit.alert_episode_member,
    pggit.alert_lifecycle_event,
    pggit.alert_lifecycle_policy,
    pggit.alert_escalation_step,
    pggit.alert_escalation,
    pggit.v_alert_history,
    pggit.branch_ref,
    pggit.alertd_condition,
    pggit.v_system_health,
    pggit.v_notification_delivery,
    pggit.v_notification_failures,
    pggit.alert_snooze,
    pggit.alert_snooze_occurrence,
    pggit.performance_metric_histogram,
    pggit.performance_metric_histogram_day,
    pggit.performance_latency_profile,
    pggit.alert_finding,
    pggit.baseline_rollout_day,
    pggit.alert_severity_rule,
    pggit.performance_hour_score,
    pggit.performance_score_reference,
    pggit.performance_score_span,
    pggit.degradation_setting,
    pggit.degradation_state,
    pggit.anomaly_detection_settings,
    pggit.anomaly_whitelist,
    pggit.whitelisted_metric,
    pggit.anomaly_episode,
    pggit.anomaly_scan_state,
    pggit.alert_muted,
    pggit.v_active_snoozes,
    pggit.merge_rollup,
    pggit.merge_pair_rollup,
    pggit.merge_hour_rollup,
    pggit.v_merge_bottleneck_analysis,
    pggit.v_merge_success_tracking,
    pggit.v_merge_phase_timeline,
    pggit.v_merge_conflict_analysis,
    pggit.v_baseline_health
    TO pggit_alertd_daemon, pggit_alertd_operator, pggit_alertd_reader;

    -- Kept by trigger; nobody may rewrite it.
    GRANT SELECT ON TABLE pggit.notification_settings_audit TO pggit_alertd_operator, pggit_alertd_reader;

    GRANT INSERT, UPDATE, DELETE ON TABLE
    pggit.alert_outbox,
    pggit.alert_destination,
    pggit.alert_notification_queue,
    pggit.alert_group,
    pggit.alert_notification_log,
    pggit.alertd_worker,
    pggit.scheduled_job,
    pggit.scheduled_job_run
    TO pggit_alertd_daemon;

    GRANT SELECT ON TABLE pggit.alert_notification_settings TO pggit_alertd_daemon;
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pggit.alert_notification_settings TO pggit_alertd_operator;
    GRANT USAGE ON SEQUENCE pggit.alert_notification_settings_setting_id_seq TO pggit_alertd_operator;
    GRANT INSERT, UPDATE, DELETE ON TABLE pggit.alert_severity_rule TO pggit_alertd_operator;
    GRANT UPDATE (enabled) ON TABLE pggit.scheduled_job TO pggit_alertd_operator;
    GRANT UPDATE (open_until, paused_until) ON TABLE pggit.alert_destination TO pggit_alertd_operator;
    GRANT SELECT ON TABLE pggit.effective_notification_config TO pggit_alertd_daemon, pggit_alertd_operator;
    GRANT INSERT, UPDATE, DELETE ON TABLE pggit.alert_escalation_step TO pggit_alertd_operator;
    GRANT INSERT, UPDATE, DELETE ON TABLE pggit.anomaly_detection_settings TO pggit_alertd_operator;
    GRANT INSERT, UPDATE, DELETE ON TABLE pggit.anomaly_whitelist TO pggit_alertd_operator;
    GRANT SELECT ON TABLE pggit.oncall_shift TO pggit_alertd_daemon;
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE pggit.oncall_shift TO pggit_alertd_operator;
    GRANT INSERT, UPDATE, DELETE ON TABLE pggit.degradation_setting TO pggit_alertd_operator;

    -- Everything but config and config_sealed, which hold addresses and keys.
    GRANT SELECT (
        setting_id, name, alert_type, severity, notification_channel, enabled, operation_pattern, min_interval,
        group_by, fallback_setting_id, destination_key, recipient, created_at,
        send_acknowledged, send_resolved
    ) ON TABLE pggit.alert_notification_settings TO pggit_alertd_reader;
END
$$;

-- Functions by name, whatever their arguments: what a role's queries, its people in psql and its views call, and what
-- that calls in turn as its caller. What is not here is called by one of these or by a trigger, as their owner. Of ours
-- PUBLIC may call notify_on_alert and check_alert_escalation, which ask whether their caller may read alerts.
DO $$
DECLARE
    v_grant record;
BEGIN
    FOR v_grant IN
        SELECT
            p.oid::regprocedure AS signature,
            granted.grantee
        FROM (
            VALUES
            ('route_alerts', 'pggit_alertd_daemon'),
            ('claim_notifications', 'pggit_alertd_daemon'),
            ('gather_digests', 'pggit_alertd_daemon'),
            ('due_companions', 'pggit_alertd_daemon'),
            ('notify_on_alert', 'pggit_alertd_daemon'),
            ('check_alert_escalation', 'pggit_alertd_daemon'),
            ('hold_disabled_notifications', 'pggit_alertd_daemon'),
            ('requeue_missed_alerts', 'pggit_alertd_daemon'),
            ('escalate_unacknowledged', 'pggit_alertd_daemon'),
            ('take_escalation_steps', 'pggit_alertd_daemon'),
            ('resolve_recovered_episodes', 'pggit_alertd_daemon'),
            ('acknowledge_alert', 'pggit_alertd_operator'),
            ('resolve_alert', 'pggit_alertd_operator'),
            ('give_up_behind_open_breakers', 'pggit_alertd_daemon'),
            ('queue_fallbacks', 'pggit_alertd_daemon'),
            ('close_unused_breakers', 'pggit_alertd_daemon'),
            ('follow_moved_endpoints', 'pggit_alertd_daemon'),
            ('release_muted_alerts', 'pggit_alertd_daemon'),
            ('expand_snooze', 'pggit_alertd_daemon'),
            ('expand_snooze', 'pggit_alertd_operator'),
            ('snooze_alerts', 'pggit_alertd_operator'),
            ('cancel_snooze', 'pggit_alertd_operator'),
            ('replay_notification', 'pggit_alertd_operator'),
            ('replay_notifications', 'pggit_alertd_operator'),
            ('discard_notifications', 'pggit_alertd_operator'),
            ('erase_recipient', 'pggit_alertd_operator'),
            ('explain_alert', 'pggit_alertd_daemon'),
            ('explain_alert', 'pggit_alertd_operator'),
            ('explain_alert', 'pggit_alertd_reader'),
            ('notification_outlook', 'pggit_alertd_daemon'),
            ('notification_outlook', 'pggit_alertd_operator'),
            ('notification_outlook', 'pggit_alertd_reader'),
            ('setting_verdicts', 'pggit_alertd_operator'),
            ('setting_verdicts', 'pggit_alertd_reader'),
            ('refresh_performance_histograms', 'pggit_alertd_daemon'),
            ('refresh_performance_histograms', 'pggit_alertd_operator'),
            ('refresh_latency_profiles', 'pggit_alertd_daemon'),
            ('refresh_latency_profiles', 'pggit_alertd_operator'),
            ('latency_hours', 'pggit_alertd_daemon'),
            ('latency_hours', 'pggit_alertd_operator'),
            ('latency_profile', 'pggit_alertd_daemon'),
            ('latency_profile', 'pggit_alertd_operator'),
            ('find_anomalies', 'pggit_alertd_operator'),
            ('watched_operations', 'pggit_alertd_operator'),
            ('anomaly_settings', 'pggit_alertd_operator'),
            ('anomaly_limits', 'pggit_alertd_operator'),
            ('anomaly_profiles', 'pggit_alertd_operator'),
            ('anomaly_profile_of', 'pggit_alertd_operator'),
            ('outgrown_profiles', 'pggit_alertd_operator'),
            ('metric_days', 'pggit_alertd_operator'),
            ('whitelisted', 'pggit_alertd_operator'),
            ('whitelist_entry', 'pggit_alertd_operator'),
            ('scan_anomalies', 'pggit_alertd_daemon'),
            ('scan_anomalies', 'pggit_alertd_operator'),
            ('detect_all_anomalies', 'pggit_alertd_daemon'),
            ('detect_all_anomalies', 'pggit_alertd_operator'),
            ('detect_all_anomalies', 'pggit_alertd_reader'),
            ('detect_anomalies_statistical', 'pggit_alertd_daemon'),
            ('detect_anomalies_statistical', 'pggit_alertd_operator'),
            ('detect_anomalies_statistical', 'pggit_alertd_reader'),
            ('anomaly_detection_status', 'pggit_alertd_daemon'),
            ('anomaly_detection_status', 'pggit_alertd_operator'),
            ('anomaly_detection_status', 'pggit_alertd_reader'),
            ('idle_anomaly_settings', 'pggit_alertd_daemon'),
            ('idle_anomaly_settings', 'pggit_alertd_operator'),
            ('idle_anomaly_settings', 'pggit_alertd_reader'),
            ('create_anomaly_alert', 'pggit_alertd_operator'),
            ('recalculate_all_baselines_rolling', 'pggit_alertd_daemon'),
            ('maintain_log_partitions', 'pggit_alertd_daemon'),
            ('purge_notifications', 'pggit_alertd_daemon'),
            ('purge_settings_audit', 'pggit_alertd_daemon'),
            ('refresh_merge_rollup', 'pggit_alertd_daemon'),
            ('refresh_merge_rollup', 'pggit_alertd_operator'),
            ('merge_hours', 'pggit_alertd_daemon'),
            ('merge_hours', 'pggit_alertd_operator'),
            ('merge_hours', 'pggit_alertd_reader'),
            ('raise_degradation_alerts', 'pggit_alertd_daemon'),
            ('refresh_hour_scores', 'pggit_alertd_daemon'),
            ('degradation_scan', 'pggit_alertd_daemon'),
            ('degradation_scan', 'pggit_alertd_operator'),
            ('degradation_scan', 'pggit_alertd_reader'),
            ('detect_performance_degradation', 'pggit_alertd_daemon'),
            ('detect_performance_degradation', 'pggit_alertd_operator'),
            ('detect_performance_degradation', 'pggit_alertd_reader'),
            ('detect_correlated_degradation', 'pggit_alertd_daemon'),
            ('detect_correlated_degradation', 'pggit_alertd_operator'),
            ('detect_correlated_degradation', 'pggit_alertd_reader'),
            ('self_check', 'pggit_alertd_daemon'),
            ('current_conditions', 'pggit_alertd_operator'),
            ('notify_operators', 'pggit_alertd_daemon'),
            ('notify_operators', 'pggit_alertd_operator'),
            ('notify_on_alert', 'pggit_alertd_operator'),
            ('check_alert_escalation', 'pggit_alertd_operator'),
            ('recalculate_all_baselines_rolling', 'pggit_alertd_operator'),
            ('recalculate_baseline', 'pggit_alertd_operator'),
            ('shadow_baseline', 'pggit_alertd_operator'),
            ('shadow_report', 'pggit_alertd_operator'),
            ('preview_baselines_rolling', 'pggit_alertd_operator'),
            ('check_baseline_quality', 'pggit_alertd_operator'),
            ('held_baselines', 'pggit_alertd_operator'),
            ('held_baselines', 'pggit_alertd_daemon'),
            ('held_baselines', 'pggit_alertd_reader'),
            ('check_baseline_quality', 'pggit_alertd_daemon'),
            ('shadow_report', 'pggit_alertd_daemon'),
            ('preview_baselines_rolling', 'pggit_alertd_daemon'),
            ('approve_baseline', 'pggit_alertd_operator'),
            ('reject_baseline', 'pggit_alertd_operator'),
            ('dead_letters', 'pggit_alertd_reader'),
            ('glob_matches', 'pggit_alertd_reader'),
            ('ended_deliveries', 'pggit_alertd_reader'),
            ('duration_text', 'pggit_alertd_reader'),
            ('log_sentence', 'pggit_alertd_reader')
            UNION ALL
            -- Called by those above that run as their caller; these do too, and read.
            SELECT helper, role_name
            FROM unnest(ARRAY[
                'active_baseline', 'anomaly_cut', 'anomaly_zscore', 'apprise_setting_problem', 'baseline_candidates',
                'baseline_in_use', 'baseline_is_noise', 'baseline_percent_change', 'baseline_problems',
                'baseline_reference', 'baseline_verdict', 'count_shadow_alerts', 'dead_letters', 'duration_text', 'ended_deliveries',
                'exact_latency_figures', 'exact_operations', 'glob_matches', 'histogram_latency_figures',
                'histograms_stored_to', 'known_spread', 'largest_baseline_average', 'latency_bucket',
                'latency_bucket_width', 'latency_of_bucket', 'latency_of_log', 'log_sentence', 'mail_addresses',
                'mail_addresses_problem', 'milliseconds_apart', 'milliseconds_text', 'notification_group_key',
                'notification_setting_problem', 'plan_baselines', 'require_baseline_arguments', 'tail_growth',
                'tail_of_zscore', 'tail_shape', 'threshold_is_critical', 'webhook_setting_problem', 'zscore_of_tail'
            ]) AS helper
            CROSS JOIN unnest(ARRAY['pggit_alertd_daemon', 'pggit_alertd_operator']) AS role_name
        ) AS granted (function_name, grantee)
        INNER JOIN pg_catalog.pg_proc AS p ON granted.function_name = p.proname
        INNER JOIN pg_catalog.pg_roles AS r ON granted.grantee = r.rolname
        WHERE p.pronamespace = to_regnamespace('pggit')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', v_grant.signature, v_grant.grantee);
    END LOOP;
END
$$;
