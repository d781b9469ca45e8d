#!/bin/sh
# engine.sh start|stop WORK: a Docker engine by hand, for machines with neither systemd nor Docker. It unpacks Debian's packages
# below WORK, installs none but runc and iptables, and listens on WORK/docker.sock alone. It needs root.
set -eu

work=$2
export PATH="$work/x/usr/bin:$work/x/usr/sbin:$PATH" DOCKER_HOST="unix://$work/docker.sock"
SECONDS_MAX=30

start() {
    # Two engines would share bridges and firewall rules, and the end of one would break the other.
    [ ! -S /var/run/docker.sock ] || { echo "engine: Docker runs here already: leave --from-debian out" >&2; exit 1; }
    mkdir -p "$work"
    if [ ! -x "$work/x/usr/sbin/dockerd" ]; then
        apt-get install -y -qq --no-install-recommends runc iptables debootstrap >"$work/apt.log" 2>&1
        (cd "$work" && apt-get download -qq docker.io containerd tini >>apt.log 2>&1 &&
            for package in *.deb; do dpkg-deb -x "$package" x; done)
    fi
    setsid containerd --root "$work/containerd" --state "$work/containerd-state" --address "$work/containerd.sock" \
        >"$work/containerd.log" 2>&1 &
    echo $! >"$work/containerd.pid"
    # Without more, a container may have the millions of open files that this machine allows, and some programs loop over all.
    setsid dockerd --containerd "$work/containerd.sock" --data-root "$work/data" --exec-root "$work/exec" \
        --host "$DOCKER_HOST" --pidfile "$work/dockerd.pid" --default-ulimit nofile=8192:8192 >"$work/dockerd.log" 2>&1 &
    waited=0
    until docker version >/dev/null 2>&1; do
        waited=$((waited + 1))
        [ "$waited" -le "$SECONDS_MAX" ] || { tail -n 5 "$work/dockerd.log" >&2; exit 1; }
        sleep 1
    done
}

stop() {
    for name in dockerd containerd; do
        [ -f "$work/$name.pid" ] || continue
        pid=$(cat "$work/$name.pid")
        kill "$pid" 2>/dev/null || true
        waited=0
        while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt "$SECONDS_MAX" ]; do
            waited=$((waited + 1))
            sleep 1
        done
        rm -f "$work/$name.pid"
    done
    for bridge in $(ip -brief link show type bridge | grep -oE '^(docker0|br-[0-9a-f]{12})'); do
        ip link delete "$bridge" || true
    done
    remove_rules
}

# The chains are the engine's own; they go with the rules that lead to them, and what it set beside them.
remove_rules() {
    for table in filter nat; do
        iptables-save -t "$table" | grep -E '^-A .*(DOCKER|docker0|br-[0-9a-f]{12})' | sed 's/^-A/-D/' |
            while read -r rule; do
                # A rule is several arguments.
                # shellcheck disable=SC2086
                iptables -t "$table" $rule 2>/dev/null || true
            done
        iptables-save -t "$table" | sed -n 's/^:\(DOCKER[A-Z0-9-]*\) .*/\1/p' |
            while read -r chain; do
                iptables -t "$table" -F "$chain"
                iptables -t "$table" -X "$chain"
            done
    done
    iptables -P FORWARD ACCEPT
}

"$1"
