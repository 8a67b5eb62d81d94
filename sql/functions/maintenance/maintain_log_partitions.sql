-- Makes the monthly partitions of the delivery log ahead. A month that has rows in the default partition already is
-- moved out of it. Attaching, unlike CREATE TABLE … PARTITION OF, lets readers go on. Writers wait for the lock_timeout
-- plus the move of at most 100,000 rows, and they wait at the parent: one that had been routed to the default partition
-- before the month was attached would fail with 23514 afterwards.
CREATE OR REPLACE FUNCTION pggit.maintain_log_partitions(p_months_ahead integer DEFAULT 3)
RETURNS TABLE (partition_name text, action text, rows_moved bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pggit, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, MDY'
SET lock_timeout = '10s'
AS $$
DECLARE
    c_most_rows CONSTANT bigint := 100000;
    v_this_month timestamptz := date_trunc('month', now());
    v_month timestamptz;
    v_next timestamptz;
    v_name text;
    v_rows bigint;
BEGIN
    IF p_months_ahead IS NULL OR p_months_ahead < 0 OR p_months_ahead > 120 THEN
        RAISE EXCEPTION 'p_months_ahead is %, it must be between 0 and 120', coalesce(p_months_ahead::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- One upkeep at a time; who waits then finds the work done. Only the steps below this line may block the log,
    -- so only they have the short time-out.
    PERFORM pg_advisory_xact_lock(hashtextextended('pggit.maintain_log_partitions', 0));
    -- It is shorter than PostgreSQL's deadlock_timeout: a reader that goes on to write is never the one to be stopped.
    PERFORM set_config('lock_timeout', '500ms', TRUE);

    FOR v_month IN
        SELECT wanted.month FROM generate_series(
            v_this_month, v_this_month + make_interval(months => p_months_ahead), interval '1 month'
        ) AS wanted (month)
        UNION
        SELECT date_trunc('month', stray.sent_at) FROM pggit.alert_notification_log_default AS stray
        WHERE stray.sent_at >= v_this_month - interval '24 months' AND stray.sent_at < v_this_month
        ORDER BY 1
    LOOP
        v_next := v_month + interval '1 month';
        v_name := 'alert_notification_log_y' || to_char(v_month, 'YYYY"m"MM');

        IF to_regclass(format('pggit.%I', v_name)) IS NOT NULL THEN
            IF NOT EXISTS (
                SELECT FROM pg_inherits AS child
                WHERE child.inhparent = 'pggit.alert_notification_log'::regclass
                    AND child.inhrelid = to_regclass(format('pggit.%I', v_name))
            ) THEN
                RAISE WARNING 'pggit.% exists and is no partition of alert_notification_log; attach, rename or drop it', v_name;
                partition_name := v_name;
                action := 'in the way';
                rows_moved := 0;
                RETURN NEXT;
            END IF;
            CONTINUE;
        END IF;

        -- Counted before any lock; what is written meanwhile is moved too.
        SELECT count(*) INTO v_rows FROM (
            SELECT FROM pggit.alert_notification_log_default AS stray
            WHERE stray.sent_at >= v_month AND stray.sent_at < v_next
            LIMIT c_most_rows + 1
        ) AS counted;

        IF v_rows > c_most_rows THEN
            partition_name := v_name;
            action := 'left in the default partition';
            rows_moved := 0;
            RETURN NEXT;
            CONTINUE;
        END IF;

        EXECUTE format(
            'CREATE TABLE pggit.%I (LIKE pggit.alert_notification_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_name
        );
        LOCK TABLE pggit.alert_notification_log IN SHARE ROW EXCLUSIVE MODE;
        LOCK TABLE pggit.alert_notification_log_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format(
            'WITH moved AS (
                DELETE FROM pggit.alert_notification_log_default AS stray
                WHERE stray.sent_at >= $1 AND stray.sent_at < $2 RETURNING stray.*
            )
            INSERT INTO pggit.%I SELECT * FROM moved', v_name
        ) USING v_month, v_next;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        EXECUTE format(
            'ALTER TABLE pggit.alert_notification_log ATTACH PARTITION pggit.%I FOR VALUES FROM (%L) TO (%L)',
            v_name, v_month, v_next
        );

        partition_name := v_name;
        action := 'created';
        rows_moved := v_rows;
        RETURN NEXT;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION pggit.maintain_log_partitions(integer) IS
'Makes the monthly partitions of the delivery log for this month and p_months_ahead more, by UTC months, and empties the default partition into them. Safe to call at any time and twice at once.';

REVOKE ALL ON FUNCTION pggit.maintain_log_partitions(integer) FROM PUBLIC;
