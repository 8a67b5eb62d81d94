-- Its last argument is called p_z_score, as in pgGit's plan, and may be left out; CREATE OR REPLACE can't rename one.
DROP FUNCTION IF EXISTS pggit.create_anomaly_alert(bigint, text, numeric);
