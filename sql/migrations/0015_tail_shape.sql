-- One smooth tail is described by its shape as well, from a quarter of the calls to one in a hundred, so that what one
-- call in ten thousand takes is known from a week. Profiles without these columns' values are judged by excess95 and
-- excess99, as before; the next hourly refresh fills them in.
ALTER TABLE pggit.performance_latency_profile
ADD COLUMN tail_shape double precision,
ADD COLUMN tail_scale double precision,
ADD COLUMN q9975 double precision,
ADD CONSTRAINT performance_latency_profile_has_a_whole_tail CHECK ((tail_shape IS NULL) = (tail_scale IS NULL));

COMMENT ON COLUMN pggit.performance_latency_profile.tail_shape IS
'How the tail thins out: 1 is a power law, about 0.45 log-normal, 0 exponential or Weibull. NULL where it is not one smooth tail.';
COMMENT ON COLUMN pggit.performance_latency_profile.tail_scale IS
'By what factor the residual grows with tail_growth(-ln(share above it), tail_shape).';
COMMENT ON COLUMN pggit.performance_latency_profile.q9975 IS
'What one metric in four hundred exceeded: that often is usual, whatever the tail''s shape. NULL below 2,000 metrics.';

-- Its work is tail_shape's now.
DROP FUNCTION IF EXISTS pggit.tail_bend(pggit.performance_latency_profile);
