-- How merges of one branch into another end. An abandoned merge counts as one that did not succeed. The rate of
-- automatic resolution is the average of each merge's own rate, of merges with conflicts to resolve. A merge without an
-- end, as abandoned ones are, is dated by its start.
CREATE OR REPLACE VIEW pggit.v_merge_success_tracking AS
SELECT
    source.branch_name AS source_branch,
    target.branch_name AS target_branch,
    pair.total_merges,
    pair.successful,
    pair.partial,
    pair.failed,
    round(100.0 * pair.successful / pair.total_merges, 1) AS success_rate,
    round((pair.resolution_rate / nullif(pair.resolution_rated, 0))::numeric, 3) AS auto_resolve_rate,
    pair.last_merge,
    pair.abandoned
FROM (
    SELECT
        part.source_branch_id,
        part.target_branch_id,
        sum(part.merge_count)::bigint AS total_merges,
        sum(part.successful)::bigint AS successful,
        sum(part.partial)::bigint AS partial,
        sum(part.failed)::bigint AS failed,
        sum(part.abandoned)::bigint AS abandoned,
        sum(part.resolution_rate) AS resolution_rate,
        sum(part.resolution_rated)::bigint AS resolution_rated,
        max(part.last_merge_at) AS last_merge
    FROM pggit.merge_part AS part
    GROUP BY part.source_branch_id, part.target_branch_id
) AS pair
INNER JOIN pggit.branch_ref AS source ON pair.source_branch_id = source.branch_id
INNER JOIN pggit.branch_ref AS target ON pair.target_branch_id = target.branch_id;

COMMENT ON VIEW pggit.v_merge_success_tracking IS
'Merges by pair of branches: how many succeeded, in part, failed or were abandoned, how much resolved itself, and the last one.';
