-- The design document's tables, in a schema of their own, so that its SQL can run beside ours and neither sees the other's rows.
-- Correction: performance_baselines is a copy of pgGit's. The document writes into pgGit's own table, where our trigger would
-- log its changes a second time. Correction: percent_change is numeric, not numeric(6,2), which overflows at +10,000 %.
CREATE SCHEMA document;

CREATE TABLE document.performance_baselines (LIKE pggit.performance_baselines INCLUDING ALL);

CREATE TABLE document.performance_baseline_history (
    history_id BIGSERIAL PRIMARY KEY,
    operation_type TEXT NOT NULL,
    old_baseline_id BIGINT,
    new_baseline_id BIGINT,
    old_p99_microseconds BIGINT,
    new_p99_microseconds BIGINT,
    percent_change NUMERIC,
    calculated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    reason TEXT
);
