#!/bin/sh
# What the official image's entry point does with the variables that compose.yaml sets, and no more: a new cluster, its
# database, the scripts of docker-entrypoint-initdb.d, then the server in the foreground.
set -eu

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    # The words of POSTGRES_INITDB_ARGS are several arguments.
    # shellcheck disable=SC2086
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD
    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses= -c unix_socket_directories=/var/run/postgresql" start
    export PGHOST=/var/run/postgresql
    psql --username="$POSTGRES_USER" --dbname=postgres --command="CREATE DATABASE \"$POSTGRES_DB\""
    for script in /docker-entrypoint-initdb.d/*.sh; do
        sh "$script"
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
    unset PGPASSWORD PGHOST
fi

exec "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
