#!/bin/sh
# Run once by the image of PostgreSQL, when the database is new: the roles of results and gateway, and one that sees
# statistics and no rows, for the exporter. A database from before the roles takes the same file by hand (see the guide).
set -eu

psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --file=/run/vbatch/roles.sql
psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=password="$(cat /run/vbatch/monitor-password)" <<'SQL'
CREATE ROLE monitor LOGIN CONNECTION LIMIT 3 PASSWORD :'password';
GRANT CONNECT ON DATABASE vbatch TO monitor;
GRANT pg_monitor TO monitor;
SQL
