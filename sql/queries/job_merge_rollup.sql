-- What: sums up the merges for the dashboards, if the sums lack enough.
-- Parameters: none.
-- Index: none; one look at each merge.
SELECT pggit.refresh_merge_rollup() AS summed_up;
