#!/usr/bin/env bash
# Podman's service, for as long as whoever started it lives.
#
#   unshare --net --pid --mount --mount-proc --fork --kill-child bash podman.sh DIR
#
# It runs in namespaces of its own, so that no process, mount, interface or packet filter rule can be left behind. What it
# writes lies below DIR; what it would write elsewhere goes with the mount namespace. It answers on DIR/p.sock.
set -eu

dir=$1
# Podman and its network plugins keep what they know of networks and namespaces there.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
ip link set lo up
mkdir -p "$dir/cni"
# Its defaults are above what a sandbox may allow.
cat >"$dir/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
CONF
export CONTAINERS_CONF=$dir/containers.conf
exec podman --root "$dir/data" --runroot "$dir/state" --tmpdir "$dir/tmp" --network-config-dir "$dir/cni" \
    --storage-driver vfs --events-backend file --cgroup-manager cgroupfs \
    system service --time=0 "unix://$dir/p.sock"
