-- Kind (b): all operation types of pgGit v0.1.0, and a view that pins the narrow columns.

INSERT INTO pggit.performance_operation_types (operation_type, category, typical_duration_ms, description) VALUES
('commit', 'basics', 4.0, 'Record the current state of a branch'),
('branch_create', 'basics', 2.0, 'Create a branch'),
('branch_delete', 'basics', 2.0, 'Delete a branch'),
('branch_checkout', 'basics', 8.0, 'Switch to a branch'),
('get_branches', 'basics', 1.0, 'List branches'),
('get_commits', 'basics', 3.0, 'List commits'),
('get_objects', 'basics', 3.0, 'List the objects of a branch'),
('get_history', 'history', 20.0, 'List the changes of a branch or an object'),
('get_object_timeline', 'history', 15.0, 'List the versions of one object'),
('get_object_at_time', 'history', 10.0, 'Read an object as it was at a time'),
('ensure_object', 'history', 1.0, 'Register an object if it is not known yet'),
('create_history_partition', 'history', 30.0, 'Make room for a new period of history'),
('query_temporal_snapshots', 'history', 25.0, 'Read snapshots of a period'),
('merge_base_find', 'merging', 10.0, 'Find the common ancestor of two branches'),
('merge_conflict_detect', 'merging', 20.0, 'Compare two branches for conflicts'),
('merge_auto_resolve', 'merging', 15.0, 'Resolve conflicts by rule'),
('merge_branches', 'merging', 75.0, 'Merge two branches'),
('merge_data_branches', 'merging', 120.0, 'Merge two branches with their data'),
('merge_execute', 'merging', 40.0, 'Apply a prepared merge'),
('merge_cleanup', 'merging', 5.0, 'Remove what a merge leaves behind'),
('merge', 'merging', 75.0, 'A merge as a whole'),
('conflict_detection', 'merging', 20.0, 'The phase of a merge that finds conflicts'),
('auto_resolution', 'merging', 15.0, 'The phase of a merge that resolves conflicts'),
('rollback_commit', 'rollback', 80.0, 'Undo one commit'),
('rollback_cascade', 'rollback', 150.0, 'Undo a commit and what depends on it'),
('rollback_dry_run', 'rollback', 40.0, 'Show what a rollback would do'),
('rollback_validate', 'rollback', 20.0, 'Check that a rollback is possible'),
('rollback_recovery', 'rollback', 100.0, 'Recover from a failed rollback'),
('rollback', 'rollback', 80.0, 'A rollback as a whole'),
('create_data_branch', 'data', 200.0, 'Create a branch with its data'),
('apply_data_merge', 'data', 150.0, 'Apply merged data'),
('compress_branch', 'data', 300.0, 'Compress the data of a branch'),
('calculate_branch_size', 'data', 12.0, 'Measure the storage of a branch');

-- Views depend on the narrow columns, so their types can't be altered here.
CREATE VIEW pggit.v_open_alerts AS
SELECT pa.alert_id, pa.operation_type, pa.severity, pa.violation_multiplier, pa.created_at
FROM pggit.performance_alerts AS pa
WHERE pa.is_acknowledged = FALSE;
