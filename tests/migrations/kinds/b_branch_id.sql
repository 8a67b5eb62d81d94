-- Kind (b): pgGit v0.1.0 as found on PostgreSQL 15, weeks 1 and 2, with its narrow columns, a view that pins them, and
-- the event triggers that version user DDL. Written from the facts about it; only tests run this file.

CREATE SCHEMA pggit;

CREATE TABLE pggit.commits (
    commit_hash character(64) NOT NULL,
    author_name text,
    commit_message text,
    committed_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT commits_pkey PRIMARY KEY (commit_hash)
);

CREATE TABLE pggit.branches (
    branch_id serial NOT NULL,
    branch_name text NOT NULL,
    parent_branch_id integer,
    head_commit_hash character(64),
    status text DEFAULT 'ACTIVE',
    branch_type text DEFAULT 'schema-only',
    description text,
    metadata jsonb,
    object_count integer DEFAULT 0,
    modified_objects integer DEFAULT 0,
    storage_bytes bigint DEFAULT 0,
    deduplication_ratio numeric(5, 2) DEFAULT 100.00,
    created_by text NOT NULL,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    merged_by text,
    merged_at timestamp,
    CONSTRAINT branches_pkey PRIMARY KEY (branch_id),
    CONSTRAINT branches_branch_name_key UNIQUE (branch_name),
    CONSTRAINT branches_parent_branch_id_fkey FOREIGN KEY (parent_branch_id) REFERENCES pggit.branches (branch_id),
    CONSTRAINT branches_head_commit_hash_fkey FOREIGN KEY (head_commit_hash) REFERENCES pggit.commits (commit_hash),
    CONSTRAINT branches_branch_type_check CHECK (branch_type IN ('schema-only', 'full', 'temporal', 'compressed')),
    CONSTRAINT branches_status_check CHECK (status IN ('ACTIVE', 'MERGED', 'DELETED', 'CONFLICTED', 'STALE'))
);

CREATE INDEX idx_branches_parent_id ON pggit.branches (parent_branch_id);
CREATE INDEX idx_branches_status ON pggit.branches (status);
CREATE INDEX idx_branches_created_at ON pggit.branches (created_at DESC);
