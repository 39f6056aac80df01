# Starts and stops a GlusterFS of one node from Debian's packages; sourced by compare.sh and network.sh.
#
# glusterfs_start DIR   DIR/mount is usable when it returns
# glusterfs_mount DIR   mounts again what was unmounted
# glusterfs_stop DIR    ends what was started
#
# A volume of one brick with the settings that `gluster volume create` gives. Its peers have addresses that
# are not loopback, so it gets one on a veth pair of its own, unless GLUSTERFS_ADDRESS is there already; everything else of
# it lives in DIR. What stands in SERVED_AT and MOUNTED_AT is put before the programs: where they run.

GLUSTERFS_ADDRESS=10.213.78.1
GLUSTERFS_LINK=wdbench2
SERVED_AT=()
MOUNTED_AT=()

glusterfs_ask() {
    "${SERVED_AT[@]}" gluster --mode=script --glusterd-sock="$1/glusterd.socket" "${@:2}"
}

glusterfs_start() {
    local dir=$1
    mkdir -p "$dir"/{work,run,log,brick,mount}
    if [ -n "$GLUSTERFS_LINK" ]; then
        ip link add "$GLUSTERFS_LINK" type veth peer name wdbench3
        ip addr add "$GLUSTERFS_ADDRESS/30" dev "$GLUSTERFS_LINK"
        ip link set "$GLUSTERFS_LINK" up
        ip link set wdbench3 up
    fi
    cat > "$dir/glusterd.vol" <<CFG
volume management
    type mgmt/glusterd
    option working-directory $dir/work
    option run-directory $dir/run
    option glusterd-sockfile $dir/glusterd.socket
    option transport-type socket
    option transport.socket.bind-address $GLUSTERFS_ADDRESS
    option transport.socket.listen-port 24007
    option ping-timeout 0
    option event-threads 1
end-volume
CFG
    "${SERVED_AT[@]}" glusterd -N -f "$dir/glusterd.vol" -p "$dir/glusterd.pid" -l "$dir/log/glusterd.log" &
    echo $! > "$dir/glusterd.own"
    glusterfs_wait_for "$dir" 'glusterfs_ask "$dir" volume list > /dev/null' || return
    glusterfs_ask "$dir" volume create bench "$GLUSTERFS_ADDRESS:$dir/brick" force > /dev/null
    glusterfs_ask "$dir" volume start bench > /dev/null
    glusterfs_mount "$dir"
}

glusterfs_mount() {
    local dir=$1
    "${MOUNTED_AT[@]}" glusterfs -s "$GLUSTERFS_ADDRESS" --volfile-id=bench -l "$dir/log/mount.log" \
        -p "$dir/mount.pid" "$dir/mount"
    glusterfs_wait_for "$dir" 'mountpoint -q "$dir/mount" && echo x > "$dir/mount/probe" && rm "$dir/mount/probe"'
}

glusterfs_wait_for() {
    local dir=$1 condition=$2
    for _ in $(seq 150); do
        if eval "$condition" 2>/dev/null; then return 0; fi
        sleep 0.2
    done
    echo "GlusterFS does not get ready; see $dir/log" >&2
    tail -n 5 "$dir"/log/*.log >&2
    return 1
}

glusterfs_stop() {
    local dir=$1 file
    if mountpoint -q "$dir/mount"; then umount "$dir/mount" || true; fi
    if [ -S "$dir/glusterd.socket" ]; then
        glusterfs_ask "$dir" volume stop bench force > /dev/null 2>&1 || true
    fi
    for file in "$dir/glusterd.own" "$dir"/run/*/*.pid "$dir"/run/*/*/*.pid; do
        if [ -s "$file" ]; then kill "$(cat "$file")" 2> /dev/null || true; fi
    done
    if [ -f "$dir/glusterd.own" ]; then wait "$(cat "$dir/glusterd.own")" 2> /dev/null || true; fi
    if [ -n "$GLUSTERFS_LINK" ]; then ip link del "$GLUSTERFS_LINK" 2> /dev/null || true; fi
}
