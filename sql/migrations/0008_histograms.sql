-- What the detectors and the rolling baselines stand on: latencies folded into logarithmic buckets, so that a week of
-- metrics is read in milliseconds however many there were, and what a detector found out about an alert it raised.
-- Bucket b holds durations in (g^(b-1), g^b] microseconds with g = 1.01/0.99; its middle 2*g^b/(g+1) is within 1 % of
-- each of them (DDSketch, Masson et al., VLDB 2019). Timestamps are those of performance_metrics: without time zone.

CREATE TABLE pggit.performance_metric_histogram (
    operation_type text NOT NULL,
    hour_start timestamp NOT NULL,
    sample_count integer NOT NULL,
    min_microseconds bigint NOT NULL,
    max_microseconds bigint NOT NULL,
    sum_microseconds double precision NOT NULL,
    sum_squares double precision NOT NULL,
    buckets smallint [] NOT NULL,
    counts integer [] NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT performance_metric_histogram_pkey PRIMARY KEY (operation_type, hour_start),
    CONSTRAINT performance_metric_histogram_starts_on_the_hour CHECK (hour_start = date_trunc('hour', hour_start)),
    CONSTRAINT performance_metric_histogram_pairs CHECK (cardinality(buckets) = cardinality(counts))
);

-- Hours are refreshed and retired for all operations at once.
CREATE INDEX performance_metric_histogram_hour ON pggit.performance_metric_histogram (hour_start);

COMMENT ON TABLE pggit.performance_metric_histogram IS
'Latencies of one operation in one hour, as a mergeable histogram with 1 % relative error; kept by refresh_performance_histograms.';
COMMENT ON COLUMN pggit.performance_metric_histogram.buckets IS
'Bucket numbers in ascending order, ceil(ln(microseconds) / ln(1.01/0.99)); counts has how many metrics fell into each.';

CREATE TABLE pggit.performance_metric_histogram_day (
    operation_type text NOT NULL,
    day date NOT NULL,
    sample_count bigint NOT NULL,
    min_microseconds bigint NOT NULL,
    max_microseconds bigint NOT NULL,
    sum_microseconds double precision NOT NULL,
    sum_squares double precision NOT NULL,
    buckets smallint [] NOT NULL,
    counts bigint [] NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT performance_metric_histogram_day_pkey PRIMARY KEY (operation_type, day),
    CONSTRAINT performance_metric_histogram_day_pairs CHECK (cardinality(buckets) = cardinality(counts))
);

CREATE INDEX performance_metric_histogram_day_day ON pggit.performance_metric_histogram_day (day);

COMMENT ON TABLE pggit.performance_metric_histogram_day IS
'The hours of performance_metric_histogram merged into days, for windows of days.';

-- What is usual for an operation: the centre of each hour of the day and the shape of the upper tail around it, all as
-- natural logarithms of microseconds. docs/design/statistics.md says where the figures come from.
CREATE TABLE pggit.performance_latency_profile (
    operation_type text NOT NULL,
    computed_to timestamp NOT NULL,
    sample_count bigint NOT NULL,
    day_count integer NOT NULL,
    hour_centers double precision [] NOT NULL,
    q50 double precision NOT NULL,
    spread double precision NOT NULL,
    q95 double precision NOT NULL,
    excess95 double precision NOT NULL,
    share95 double precision NOT NULL,
    q99 double precision NOT NULL,
    excess99 double precision NOT NULL,
    share99 double precision NOT NULL,
    q99865 double precision,
    refreshed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT performance_latency_profile_pkey PRIMARY KEY (operation_type),
    CONSTRAINT performance_latency_profile_has_a_center_per_hour CHECK (cardinality(hour_centers) = 24)
);

COMMENT ON TABLE pggit.performance_latency_profile IS
'What is usual for an operation, from its histograms of the days before computed_to; kept by refresh_latency_profiles.';
COMMENT ON COLUMN pggit.performance_latency_profile.hour_centers IS
'Median of ln(microseconds) in each hour of the day, 0 to 23, drawn towards the median of all hours where data are few.';
COMMENT ON COLUMN pggit.performance_latency_profile.q95 IS
'95th percentile of the residual ln(microseconds) - center of its hour; excess95 is the mean excess above it, share95 the share of metrics above it.';

-- What a detector knew when it raised an alert. performance_alerts belongs to pgGit and has no room for it. No foreign
-- key points there: it would forbid TRUNCATE to those whose table it is. Retention removes findings by their age.
CREATE TABLE pggit.alert_finding (
    alert_id bigint NOT NULL,
    operation_type text NOT NULL,
    alert_type text NOT NULL,
    zscore numeric,
    expected_low_microseconds bigint,
    expected_high_microseconds bigint,
    percent_change numeric,
    began_at timestamp,
    together text [] NOT NULL DEFAULT '{}',
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT alert_finding_pkey PRIMARY KEY (alert_id)
);

CREATE INDEX alert_finding_operation ON pggit.alert_finding (operation_type, alert_type, began_at);
CREATE INDEX alert_finding_age ON pggit.alert_finding (found_at);

COMMENT ON TABLE pggit.alert_finding IS
'Why a detector raised an alert: how unusual it was, what was expected, since when, and which operations moved with it.';
COMMENT ON COLUMN pggit.alert_finding.zscore IS
'Normal-equivalent of the tail probability: 3 means p = 0.00135 whatever the shape of the distribution.';
COMMENT ON COLUMN pggit.alert_finding.together IS
'Operations that got slower at the same time and move together, on DEGRADATION.';
