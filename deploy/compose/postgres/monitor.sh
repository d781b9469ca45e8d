#!/bin/sh
# Run once by the image of PostgreSQL, when the database is new: a role that sees statistics and no rows, for the exporter.
set -eu

psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=password="$(cat /run/vbatch/monitor-password)" <<'SQL'
CREATE ROLE monitor LOGIN CONNECTION LIMIT 3 PASSWORD :'password';
GRANT pg_monitor TO monitor;
SQL
