#!/bin/sh
# try.sh [--from-debian] [pytest's arguments]: brings the whole stack up in containers, asks, kills and inspects it, and takes it
# down with its volumes. With --from-debian it needs root and no registry: a Docker engine by hand, images from Debian's packages.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
work=${VBATCH_TRY_FOLDER:-$root/var/compose}
files=$here/compose.yaml

if [ "${1:-}" = --from-debian ]; then
    shift
    files=$files:$here/compose.local.yaml
    mkdir -p "$work"
    "$here/local/engine.sh" start "$work"
    trap '"$here/local/engine.sh" stop "$work"' EXIT
    trap 'exit 130' INT TERM
    export PATH="$work/x/usr/bin:$PATH" DOCKER_HOST="unix://$work/docker.sock"
    "$here/local/images.sh" "$work"
else
    "$root/.venv/bin/docker-compose" --file "$here/compose.yaml" build
    "$root/.venv/bin/docker-compose" --file "$here/compose.yaml" --profile monitoring pull --ignore-buildable
fi

# The configuration of Prometheus and what it asks is there: then what of monitoring has an image runs, too.
if [ -f "$here/../monitoring/prometheus/prometheus.yml" ]; then
    export COMPOSE_PROFILES=monitoring
fi

cd "$root"
VBATCH_COMPOSE_FILES=$files .venv/bin/python -m pytest tests/compose "$@"
