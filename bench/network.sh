#!/usr/bin/env bash
# Runs bench/workloads.py on mounts whose servers are another machine, for WolfDisk (a client that holds nothing), MooseFS and
# GlusterFS in turn over one network: two namespaces, joined by a veth pair, then by a wire that takes 0.3 ms
# each way. Then what one writer and one reader get of a link of 1 Gbit/s, of 10 Gbit/s and of the veth pair. Writes the tables to
# docs/performance.md.
#
#     bench/network.sh [--dir DIR] [--rounds N] [--files N] [--mib N] [--keep-doc] [--only link|slow|rates]
#
# Needs root; installs fio, iproute2 and Debian's MooseFS and GlusterFS. WOLFDISK_BIN names a folder of built programs.
# Everything lives below DIR (default: a new directory in TMPDIR) and in namespaces of its own, and is stopped and removed at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=bench/tidy.sh
. "$here/tidy.sh"
given=("$@")
base='' keep_doc='' only='' rounds=3 files=500 mib=512
while [ $# -gt 0 ]; do
    case $1 in
        --dir) base=$2; shift 2 ;;
        --rounds) rounds=$2; shift 2 ;;
        --files) files=$2; shift 2 ;;
        --mib) mib=$2; shift 2 ;;
        --keep-doc) keep_doc=1; shift ;;
        --only) only=$2; shift 2 ;;
        *) echo "network.sh: what is $1?" >&2; exit 2 ;;
    esac
done
[ "$(id -u)" = 0 ] || { echo "run as root: namespaces are made and the page cache is dropped" >&2; exit 2; }
if ! type fio git ip tc mfsmaster mfschunkserver mfsmount glusterd gluster > /dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        fio git iproute2 moosefs-master moosefs-chunkserver moosefs-client glusterfs-server glusterfs-client
fi

# shellcheck source=bench/moosefs.sh
. "$here/moosefs.sh"
# shellcheck source=bench/glusterfs.sh
. "$here/glusterfs.sh"
SERVER=10.213.80.1 CLIENT=10.213.80.2
MOOSEFS_ADDRESS=$SERVER MOOSEFS_LINK=
GLUSTERFS_ADDRESS=$SERVER GLUSTERFS_LINK=
served=wdbench-server-$$ mounted=wdbench-client-$$
# Mounts stay where everybody sees them.
SERVED_AT=(nsenter "--net=/run/netns/$served")
MOUNTED_AT=(nsenter "--net=/run/netns/$mounted")

programs=${WOLFDISK_BIN:-}
if [ -z "$programs" ]; then
    cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" \
        -p wolfdiskctl -p wolfdisk-meta -p wolfdisk-chunkd -p wolfdisk-fuse
    programs=${CARGO_TARGET_DIR:-$root/target}/release
fi
ctl=$programs/wolfdiskctl

work=$(mktemp -d "${base:-${TMPDIR:-/tmp}}/wolfdisk-bench-XXXXXX")
wire='' node='' desk=''
finish() {
    set +e
    stop_all
    wire_down
    remove_unless_mounted "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

ended() {
    kill "$1" 2> /dev/null || true
    wait "$1" 2> /dev/null || true
}

# wire_up veth|MICROSECONDS
wire_up() {
    ip netns add "$served"
    ip netns add "$mounted"
    ip -n "$served" link set lo up
    ip -n "$mounted" link set lo up
    if [ "$1" = veth ]; then
        ip -n "$served" link add wire type veth peer name wire netns "$mounted"
        ip -n "$served" address add "$SERVER/24" dev wire
        ip -n "$mounted" address add "$CLIENT/24" dev wire
        ip -n "$served" link set wire up
        ip -n "$mounted" link set wire up
    else
        "$here/delay.py" "$1" "$served" "$SERVER/24" "$mounted" "$CLIENT/24" > "$work/wire.out" &
        wire=$!
        until_true "$work/wire.out" grep -q ready "$work/wire.out"
    fi
}

wire_down() {
    if [ -n "$wire" ]; then ended "$wire"; fi
    wire=
    ip netns delete "$served" 2> /dev/null || true
    ip netns delete "$mounted" 2> /dev/null || true
}

# until_true LOG COMMAND...   waits for half a minute; shows the log if it never comes true
until_true() {
    local log=$1
    shift
    for _ in $(seq 300); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    cat "$log" >&2
    return 1
}

wolfdisk_start() {
    local dir=$1
    mkdir -p "$dir"/{own,mount}
    printf '[node]\nid = "server"\nbind = "%s:9500"\n[cluster]\ndiscovery = "none"\n' "$SERVER" > "$dir/server.toml"
    printf '[cluster]\ndiscovery = "none"\n' > "$dir/client.toml"
    "$ctl" init --config "$dir/server.toml" -d "$dir/data" > "$dir/init"
    "${SERVED_AT[@]}" "$ctl" up --config "$dir/server.toml" -d "$dir/data" -m "$dir/own" --s3 off \
        > "$dir/server.out" 2> "$dir/server.log" &
    node=$!
    until_true "$dir/server.log" grep -qs '^ready mount=' "$dir/server.out"
    "$ctl" join-token -d "$dir/data" --no-squash-root > "$dir/token" 2> /dev/null
    "${MOUNTED_AT[@]}" "$ctl" init --join - -d "$dir/desk" --id desk < "$dir/token" > "$dir/join"
    wolfdisk_mount "$dir"
}

wolfdisk_mount() {
    local dir=$1
    rm -f "$dir/client.out"
    "${MOUNTED_AT[@]}" "$ctl" up --config "$dir/client.toml" -d "$dir/desk" -m "$dir/mount" --s3 off \
        > "$dir/client.out" 2> "$dir/client.log" &
    desk=$!
    until_true "$dir/client.log" grep -qs '^ready mount=' "$dir/client.out"
}

wolfdisk_unmount() {
    ended "$desk"
    desk=
}

moosefs_unmount() {
    umount "$1/mount"
    wait "$(cat "$1/mount.pid")" || true
}

glusterfs_unmount() {
    umount "$1/mount"
}

start_all() {
    wolfdisk_start "$work/wolfdisk"
    moosefs_start "$work/moosefs"
    glusterfs_start "$work/glusterfs"
}

stop_all() {
    if [ -n "$desk" ]; then ended "$desk"; fi
    if [ -n "$node" ]; then ended "$node"; fi
    desk='' node=''
    moosefs_stop "$work/moosefs"
    glusterfs_stop "$work/glusterfs"
    rm -rf "$work"/{wolfdisk,moosefs,glusterfs}
}

ROWS=("create 4k, 1 process" "create 4k, 8 processes" "read 4k, cold" "read 4k, warm" "stat, cold" "ls -l, cold" "rename"
    "unlink" "untar 2,000 files" "grep -r, warm" "git status, warm" "rm -r 2,000 files" "append 1k + fsync" "sqlite insert"
    "write 1M, fsync at end" "read 1M, warm" "random read 4k, cold, 1 job" "random read 4k, cold, 8 jobs"
    "random write 4k + fsync")

# workloads NAME veth|MICROSECONDS
workloads() {
    local row rows=()
    for row in "${ROWS[@]}"; do
        # Making the repository alone takes the others minutes where each call takes its time.
        [ "$1 $row" = "slow git status, warm" ] || rows+=(--row "$row")
    done
    wire_up "$2"
    "$here/round_trip.py" "$served" "$SERVER" "$mounted" > "$work/$1.trip"
    start_all
    python3 "$here/workloads.py" --rounds "$rounds" --files "$files" --gib 0.25 "${rows[@]}" --json "$work/$1.json" \
        "WolfDisk=$work/wolfdisk/mount" "MooseFS=$work/moosefs/mount" "GlusterFS=$work/glusterfs/mount" \
        2> >(tee "$work/$1.failures" >&2)
    stop_all
    wire_down
}

# Clock ticks that a process and its children have worked.
worked() {
    local pid ticks=0 fields
    for pid in "$1" $(pgrep -P "$1"); do
        read -r -a fields < <(sed 's/.*) //' "/proc/$pid/stat")
        ticks=$((ticks + fields[11] + fields[12]))
    done
    echo "$ticks"
}

# copy SYSTEM RATE write|read FROM TO [OPTION]   prints `SYSTEM RATE write|read MB/s`, and keeps what WolfDisk worked for it
copy() {
    local at_desk at_node
    if [ "$1" = wolfdisk ]; then at_desk=$(worked "$desk") at_node=$(worked "$node"); fi
    dd if="$4" of="$5" bs=1M "${@:6}" 2>&1 | "$here/dd_rate.py" "$1" "$2" "$3"
    if [ "$1" = wolfdisk ]; then
        echo "$3 $(($(worked "$desk") - at_desk)) $(($(worked "$node") - at_node))" >> "$work/worked"
    fi
}

# One writer that syncs, then one reader with nothing in any cache of its machine.
stream() {
    local system=$1 rate=$2 file=$work/$1/mount/stream
    rm -f "$file"
    copy "$system" "$rate" write "$work/random" "$file" conv=fsync
    "${system}_unmount" "$work/$system"
    "${system}_mount" "$work/$system"
    echo 3 > /proc/sys/vm/drop_caches
    copy "$system" "$rate" read "$file" /dev/null
}

rates() {
    local rate system namespace
    head -c "${mib}M" /dev/urandom > "$work/random"
    wire_up veth
    start_all
    for _ in $(seq "$rounds"); do
        for rate in 1gbit 10gbit veth; do
            for namespace in "$served" "$mounted"; do
                ip netns exec "$namespace" tc qdisc delete dev wire root 2> /dev/null || true
                [ "$rate" = veth ] ||
                    ip netns exec "$namespace" tc qdisc add dev wire root tbf rate "$rate" burst 1mb latency 20ms
            done
            for system in wolfdisk moosefs glusterfs; do stream "$system" "$rate"; done
        done
    # Not through a pipe: in a shell of its own it could not wait for what it ends.
    done > "$work/rates"
    stop_all
    wire_down
}

case ${only:-all} in link | all) workloads link veth ;; esac
case ${only:-all} in slow | all) workloads slow 300 ;; esac
case ${only:-all} in rates | all) rates ;; esac
if [ -z "$keep_doc" ]; then
    python3 "$here/network_report.py" "$work" --into "$root/docs/performance.md" -- "${given[@]}"
    echo "written: docs/performance.md"
else
    python3 "$here/network_report.py" "$work" -- "${given[@]}"
fi
