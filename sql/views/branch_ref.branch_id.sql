-- One name for branches whatever pgGit's dialect: here for branches(branch_id, branch_name). Private to our own views.

CREATE OR REPLACE VIEW pggit.branch_ref AS
SELECT
    b.branch_id,
    b.branch_name::text AS branch_name
FROM pggit.branches AS b;

COMMENT ON VIEW pggit.branch_ref IS 'Branches as (branch_id, branch_name), whichever names pgGit''s own table uses.';
