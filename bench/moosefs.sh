# Starts and stops a MooseFS of one node from Debian's packages; sourced by compare.sh and network.sh.
#
# moosefs_start DIR   DIR/mount is usable when it returns
# moosefs_mount DIR   mounts again what was unmounted
# moosefs_stop DIR    ends what was started, by its process ids
#
# The master refuses loopback addresses, so it gets one on a veth pair of its own, unless MOOSEFS_ADDRESS is there
# already. What stands in SERVED_AT and MOUNTED_AT is put before the programs of the server and of the mount: where they run.

MOOSEFS_ADDRESS=10.213.77.1
MOOSEFS_LINK=wdbench0
SERVED_AT=()
MOUNTED_AT=()

moosefs_start() {
    local dir=$1
    for program in mfsmaster mfschunkserver mfsmount; do
        command -v "$program" >/dev/null || {
            echo "$program is missing; run: apt install moosefs-master moosefs-chunkserver moosefs-client" >&2
            return 1
        }
    done
    mkdir -p "$dir"/{etc,master,chunkserver,chunks,mount}
    if [ -n "$MOOSEFS_LINK" ]; then
        ip link add "$MOOSEFS_LINK" type veth peer name wdbench1
        ip addr add "$MOOSEFS_ADDRESS/30" dev "$MOOSEFS_LINK"
        ip link set "$MOOSEFS_LINK" up
        ip link set wdbench1 up
    fi

    cat > "$dir/etc/mfsmaster.cfg" <<CFG
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $dir/master
EXPORTS_FILENAME = $dir/etc/mfsexports.cfg
MATOML_LISTEN_HOST = $MOOSEFS_ADDRESS
MATOCS_LISTEN_HOST = $MOOSEFS_ADDRESS
MATOCL_LISTEN_HOST = $MOOSEFS_ADDRESS
LOCK_MEMORY = 0
CFG
    echo '* / rw,alldirs,admin,maproot=0:0' > "$dir/etc/mfsexports.cfg"
    cat > "$dir/etc/mfschunkserver.cfg" <<CFG
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $dir/chunkserver
HDD_CONF_FILENAME = $dir/etc/mfshdd.cfg
MASTER_HOST = $MOOSEFS_ADDRESS
BIND_HOST = $MOOSEFS_ADDRESS
CSSERV_LISTEN_HOST = $MOOSEFS_ADDRESS
CFG
    echo "$dir/chunks" > "$dir/etc/mfshdd.cfg"
    printf 'MFSM NEW' > "$dir/master/metadata.mfs"

    "${SERVED_AT[@]}" mfsmaster -f -c "$dir/etc/mfsmaster.cfg" start > "$dir/master.log" 2>&1 &
    echo $! > "$dir/master.pid"
    "${SERVED_AT[@]}" mfschunkserver -f -c "$dir/etc/mfschunkserver.cfg" start > "$dir/chunkserver.log" 2>&1 &
    echo $! > "$dir/chunkserver.pid"
    # It gives up at once if the master does not listen yet.
    moosefs_wait_for "$dir" '"${MOUNTED_AT[@]}" bash -c ": < /dev/tcp/$MOOSEFS_ADDRESS/9421"' || return
    moosefs_mount "$dir" || return
    # A goal of two copies, the default, cannot be met by one server.
    "${MOUNTED_AT[@]}" mfssetgoal -r 1 "$dir/mount" > /dev/null
    moosefs_wait_for "$dir" 'echo x > "$dir/mount/probe" && rm "$dir/mount/probe"'
}

moosefs_mount() {
    local dir=$1
    "${MOUNTED_AT[@]}" mfsmount -f "$dir/mount" -H "$MOOSEFS_ADDRESS" > "$dir/mount.log" 2>&1 &
    echo $! > "$dir/mount.pid"
    moosefs_wait_for "$dir" 'mountpoint -q "$dir/mount"'
}

moosefs_wait_for() {
    local dir=$1 condition=$2 log
    for _ in $(seq 300); do
        if eval "$condition" 2>/dev/null; then return 0; fi
        sleep 0.2
    done
    echo "MooseFS does not get ready; see $dir/*.log" >&2
    for log in "$dir"/*.log; do tail -n 5 "$log" >&2; done
    return 1
}

moosefs_stop() {
    local dir=$1 name pid
    if mountpoint -q "$dir/mount"; then umount "$dir/mount" || true; fi
    for name in mount chunkserver master; do
        [ -f "$dir/$name.pid" ] || continue
        pid=$(cat "$dir/$name.pid")
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "$MOOSEFS_LINK" ]; then ip link del "$MOOSEFS_LINK" 2>/dev/null || true; fi
}
