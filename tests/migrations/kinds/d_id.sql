-- Kind (d): the design document's own dialect, branches(id, name), with the bigint performance tables of pgGit v0.1.0,
-- eleven operation types and the event triggers that version user DDL. Only tests run this file.

CREATE SCHEMA pggit;

CREATE TABLE pggit.branches (
    id serial NOT NULL,
    name text NOT NULL,
    parent_branch_id integer,
    status text DEFAULT 'ACTIVE',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT branches_pkey PRIMARY KEY (id),
    CONSTRAINT branches_name_key UNIQUE (name),
    CONSTRAINT branches_parent_branch_id_fkey FOREIGN KEY (parent_branch_id) REFERENCES pggit.branches (id)
);
