-- It returns one thing more, what nobody is told of and why, and CREATE OR REPLACE can't change what a function
-- returns.
DROP FUNCTION IF EXISTS pggit.queue_lifecycle_notifications(bigint [], text [], timestamptz []);
