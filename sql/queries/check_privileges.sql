-- What: what the daemon needs of schema pggit and this role lacks; what does not exist is the schema check's business.
-- Parameters: none.
-- Index: pg_class_relname_nsp_index and pg_proc_proname_args_nsp_index, one descent for each row of the lists.
WITH area AS (
    SELECT n.oid
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = 'pggit'
),

needed_of_table AS (
    SELECT t.name, privilege.name AS privilege
    FROM (
        VALUES
        ('alertd_migration', 'SELECT'),
        ('alert_outbox', 'SELECT'),
        ('alert_notification_settings', 'SELECT'),
        ('alert_notification_queue', 'SELECT, UPDATE'),
        ('alert_notification_log', 'SELECT, INSERT'),
        ('alert_destination', 'SELECT, INSERT, UPDATE'),
        ('alert_group', 'SELECT, INSERT, UPDATE'),
        ('effective_notification_config', 'SELECT'),
        ('oncall_shift', 'SELECT'),
        ('alertd_worker', 'SELECT, INSERT, UPDATE'),
        ('alert_snooze', 'SELECT'),
        ('alert_snooze_occurrence', 'SELECT'),
        ('alert_muted', 'SELECT'),
        ('v_active_snoozes', 'SELECT'),
        ('scheduled_job', 'SELECT, INSERT, UPDATE'),
        ('scheduled_job_run', 'SELECT, INSERT, UPDATE'),
        ('alertd_condition', 'SELECT'),
        ('performance_baseline_history', 'SELECT'),
        ('branch_ref', 'SELECT'),
        ('performance_baselines', 'SELECT'),
        ('performance_operation_types', 'SELECT'),
        ('performance_metrics', 'SELECT'),
        ('performance_alerts', 'SELECT')
    ) AS t (name, privileges)
    CROSS JOIN LATERAL unnest(string_to_array(t.privileges, ', ')) AS privilege (name)
),

needed_function AS (
    SELECT f.name
    FROM (
        VALUES
        ('route_alerts'),
        ('claim_notifications'),
        ('gather_digests'),
        ('notification_setting_problem'),
        ('requeue_missed_alerts'),
        ('give_up_behind_open_breakers'),
        ('queue_fallbacks'),
        ('close_unused_breakers'),
        ('follow_moved_endpoints'),
        ('explain_alert'),
        ('duration_text'),
        ('release_muted_alerts'),
        ('expand_snooze'),
        ('take_escalation_steps'),
        ('resolve_recovered_episodes'),
        ('hold_disabled_notifications'),
        ('recalculate_all_baselines_rolling'),
        ('refresh_performance_histograms'),
        ('refresh_latency_profiles'),
        ('idle_anomaly_settings'),
        ('scan_anomalies'),
        ('maintain_log_partitions'),
        ('purge_notifications'),
        ('purge_settings_audit'),
        ('refresh_merge_rollup'),
        ('self_check'),
        ('refresh_hour_scores'),
        ('raise_degradation_alerts')
    ) AS f (name)
)

SELECT 'USAGE' AS privilege, 'SCHEMA pggit' AS object
FROM area
WHERE NOT has_schema_privilege(area.oid, 'USAGE')
UNION ALL
SELECT needed_of_table.privilege, 'pggit.' || needed_of_table.name AS object
FROM needed_of_table
CROSS JOIN area
INNER JOIN pg_catalog.pg_class AS c ON needed_of_table.name = c.relname AND area.oid = c.relnamespace
WHERE NOT has_table_privilege(c.oid, needed_of_table.privilege)
UNION ALL
SELECT 'EXECUTE' AS privilege, 'FUNCTION pggit.' || p.proname AS object
FROM needed_function
CROSS JOIN area
INNER JOIN pg_catalog.pg_proc AS p ON needed_function.name = p.proname AND area.oid = p.pronamespace
WHERE NOT has_function_privilege(p.oid, 'EXECUTE')
ORDER BY object, privilege;
