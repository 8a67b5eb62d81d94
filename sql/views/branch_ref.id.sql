-- One name for branches whatever pgGit's dialect: here for branches(id, name). Private to our own views.

CREATE OR REPLACE VIEW pggit.branch_ref AS
SELECT
    b.id AS branch_id,
    b.name::text AS branch_name
FROM pggit.branches AS b;

COMMENT ON VIEW pggit.branch_ref IS 'Branches as (branch_id, branch_name), whichever names pgGit''s own table uses.';
