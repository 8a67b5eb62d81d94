-- The daemon's own login. It owns nothing; what it may do comes with the group role, which `migrate` gives its rights.
-- Run once by the image, in an empty database, as its owner.
\set password `cat /run/secrets/daemon_password`
CREATE ROLE pggit_alertd_daemon NOLOGIN;
CREATE ROLE alertd LOGIN PASSWORD :'password' IN ROLE pggit_alertd_daemon;
