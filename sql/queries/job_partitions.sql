-- What: makes the delivery log's partitions ahead and empties its default partition into them.
-- Parameters: none.
-- Index: none; the catalog, and the default partition, which is empty as a rule.
SELECT
    upkeep.partition_name,
    upkeep.action,
    upkeep.rows_moved
FROM pggit.maintain_log_partitions() AS upkeep;
