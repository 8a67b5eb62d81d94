-- Kind (d): eleven operation types.

INSERT INTO pggit.performance_operation_types (operation_type, category, typical_duration_ms, description) VALUES
('commit', 'basics', 4.0, 'Record the current state of a branch'),
('branch_create', 'basics', 2.0, 'Create a branch'),
('branch_delete', 'basics', 2.0, 'Delete a branch'),
('get_history', 'history', 20.0, 'List the changes of a branch or an object'),
('merge_base_find', 'merging', 10.0, 'Find the common ancestor of two branches'),
('merge_conflict_detect', 'merging', 20.0, 'Compare two branches for conflicts'),
('merge_auto_resolve', 'merging', 15.0, 'Resolve conflicts by rule'),
('merge_branches', 'merging', 75.0, 'Merge two branches'),
('rollback_commit', 'rollback', 80.0, 'Undo one commit'),
('create_data_branch', 'data', 200.0, 'Create a branch with its data'),
('compress_branch', 'data', 300.0, 'Compress the data of a branch');
