#!/usr/bin/env bash
# A private container engine, for as long as standard input stays open.
#
#   unshare --pid --mount --mount-proc --fork --kill-child bash engine.sh DIR SEED
#
# It runs as process 1 of its own PID namespace, so nothing it started can outlive it, and in its own mount namespace,
# so no mount can be left behind. The network is the host's: tests ask from there.
#
# First line of output: `ready BRIDGE GATEWAY`, or `failed REASON`. Then it reads one order a line and answers each
# with `ok` or `failed REASON`:
#
#   start [dockerd arguments]     until it answers on DIR/d.sock
#   stop                          SIGTERM: containers are stopped first, unless --live-restore
#   kill                          SIGKILL: containers keep running
#   freeze, thaw                  SIGSTOP, SIGCONT: connections stay open, and nothing is said on them
#
# When its input ends, however the writer ended, everything is stopped and removed: the bridge, the control groups
# and DIR.
set -u

dir=$1
seed=$2
group=skydock-test-$(basename "$dir")
bridge=
dockerd=
containerd=

# containerd stands alone, as on a real host, so that a killed dockerd finds its containers again.
start_containerd() {
    cat >"$dir/containerd.toml" <<TOML
version = 2
root = "$dir/containerd"
state = "$dir/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$dir/c.sock"
TOML
    # Its shims keep their sockets under /run/containerd whatever the state directory is.
    mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd
    containerd --config "$dir/containerd.toml" >"$dir/containerd.log" 2>&1 </dev/null &
    containerd=$!
    await "containerd" "$containerd" test -S "$dir/c.sock"
}

# The first free 172.31.N.0/24, tried from a place that differs from process to process. `ip link add` fails when
# another process took the name first, which settles races.
make_bridge() {
    local i n
    for i in $(seq 0 199); do
        n=$(((seed + i) % 200 + 20))
        ip -4 route show table all | grep -q "172\.31\.$n\." && continue
        ip link add "skdt$n" type bridge 2>/dev/null || continue
        bridge=skdt$n
        gateway=172.31.$n.1
        ip address add "$gateway/24" dev "$bridge" && ip link set "$bridge" up && return
        echo "failed the address $gateway/24 on $bridge was refused"
        return 1
    done
    echo "failed no bridge could be made: $(ip link add skdtx type bridge 2>&1 && ip link del skdtx)"
    return 1
}

# await NAME PID CHECK...: until CHECK holds, at most 30 s, and no longer than the process lives.
await() {
    local name=$1 pid=$2 i
    shift 2
    for i in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        if ! kill -0 "$pid" 2>/dev/null; then
            echo "failed $name ended: $(tail -n 1 "$dir/$name.log")"
            return 1
        fi
        sleep 0.05
    done
    echo "failed $name did not answer in 30 s: $(tail -n 1 "$dir/$name.log")"
    return 1
}

start_dockerd() {
    rm -f "$dir/d.pid"
    # No packet filter rules: containers of one bridge and the host reach each other without, and none is left behind.
    dockerd --host "unix://$dir/d.sock" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/d.pid" \
        --config-file "$dir/daemon.json" --containerd "$dir/c.sock" --bridge "$bridge" \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$group" \
        --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false \
        "$@" >>"$dir/dockerd.log" 2>&1 </dev/null &
    dockerd=$!
    await dockerd "$dockerd" docker --host "unix://$dir/d.sock" version
}

end_dockerd() {
    [ -n "$dockerd" ] || return 0
    kill "-$1" "$dockerd" 2>/dev/null
    wait "$dockerd" 2>/dev/null
    dockerd=
}

# Names of the interfaces that `ip link show` selects.
interfaces() {
    ip -o link show "$@" | cut -d ' ' -f 2 | cut -d : -f 1 | cut -d @ -f 1
}

clean_up() {
    # A frozen process takes no signal, not even this one, so paused containers are thawed first.
    find /sys/fs/cgroup -path "*/$group/*" -name freezer.state 2>/dev/null |
        while read -r state; do echo THAWED >"$state"; done
    find /sys/fs/cgroup -path "*/$group/*" -name cgroup.freeze 2>/dev/null |
        while read -r state; do echo 0 >"$state"; done
    # Everything else in this PID namespace. Containers go with it; they hold nothing worth saving.
    kill -KILL -1 2>/dev/null
    wait
    grep " $dir/" /proc/self/mounts | cut -d ' ' -f 2 | sort -r | while read -r mounted; do umount -l "$mounted"; done
    # Bridges of networks that a test made are named after ours. A container that was being started has left its end of
    # the cable in the bridge; one that ran has taken it along.
    for link in $(interfaces type bridge | grep "^${bridge:-none}\(\..*\)\?$"); do
        for cable in $(interfaces master "$link"); do ip link delete "$cable"; done
        ip link delete "$link"
    done
    # A group empties a moment after its last process was killed.
    for _ in $(seq 40); do
        find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} + 2>/dev/null
        [ -z "$(find /sys/fs/cgroup -type d -name "$group")" ] && break
        sleep 0.05
    done
    rm -rf "$dir"
}
# A terminal's Ctrl-C must not end it before it has cleaned up: end of input will.
trap '' INT TERM HUP PIPE
trap 'clean_up 2>/dev/null' EXIT

mkdir -p "$dir/docker" && echo '{}' >"$dir/daemon.json" && echo '{}' >"$dir/docker/config.json"
export DOCKER_CONFIG=$dir/docker
make_bridge && start_containerd || exit 1
echo "ready $bridge $gateway"

while read -r order arguments; do
    case $order in
    # shellcheck disable=SC2086 # arguments are several words
    start) start_dockerd $arguments && echo ok ;;
    stop) end_dockerd TERM && echo ok ;;
    kill) end_dockerd KILL && echo ok ;;
    freeze) kill -STOP "$dockerd" && echo ok ;;
    thaw) kill -CONT "$dockerd" && echo ok ;;
    *) echo "failed unknown order $order" ;;
    esac
done
