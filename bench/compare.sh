#!/usr/bin/env bash
# Runs bench/workloads.py in one run on WolfDisk, on a file system in memory with the same FUSE settings (the
# ceiling), on MooseFS, GlusterFS and the disk's own file system, and writes the table of medians to
# docs/performance.md.
#
#     bench/compare.sh [--dir DIR] [--keep-doc] [--figures FILE] [arguments of workloads.py, e.g. --rounds 5 --only read]
#
# Needs root; installs fio and Debian's MooseFS and GlusterFS. WOLFDISK_BIN names a folder of built programs. Everything lives
# below DIR (default: a new directory in TMPDIR), on whose file system the baseline runs, and is stopped
# and removed at the end. With --keep-doc the table is only printed. FILE keeps what was measured: a later run with the
# same adds its rounds to it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=bench/tidy.sh
. "$here/tidy.sh"
base='' keep_doc='' figures=''
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --dir) base=$2; shift 2 ;;
        --keep-doc) keep_doc=1; shift ;;
        --figures) figures=$(realpath "$2"); shift 2 ;;
        *) arguments+=("$1"); shift ;;
    esac
done
[ "$(id -u)" = 0 ] || { echo "run as root: the page cache is dropped before cold reads" >&2; exit 2; }
if ! type fio git make mfsmaster mfschunkserver mfsmount glusterd gluster > /dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        fio git make moosefs-master moosefs-chunkserver moosefs-client glusterfs-server glusterfs-client
fi

# shellcheck source=bench/moosefs.sh
. "$here/moosefs.sh"
# shellcheck source=bench/glusterfs.sh
. "$here/glusterfs.sh"

programs=${WOLFDISK_BIN:-}
if [ -z "$programs" ]; then
    cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" \
        -p wolfdiskctl -p wolfdisk-meta -p wolfdisk-chunkd -p wolfdisk-fuse -p wolfdisk-ceiling
    programs=${CARGO_TARGET_DIR:-$root/target}/release
fi

work=$(mktemp -d "${base:-${TMPDIR:-/tmp}}/wolfdisk-bench-XXXXXX")
started=()
finish() {
    set +e
    moosefs_stop "$work/moosefs"
    glusterfs_stop "$work/glusterfs"
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null
        wait "$pid"
    done
    remove_unless_mounted "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Starts what mounts and says `ready mount=` when that is usable.
start() {
    local name=$1
    shift
    "$@" > "$work/$name.out" 2> "$work/$name.log" &
    started+=($!)
    for _ in $(seq 300); do
        grep -q '^ready mount=' "$work/$name.out" && return
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/$name.log" >&2
    return 1
}

mkdir "$work/ext4" "$work/mount" "$work/exclusive" "$work/memory"
# On purpose: else they would stay out of a cluster that they hear, such as each other's.
for data in data exclusive-data; do
    "$programs/wolfdiskctl" init -d "$work/$data" > "$work/$data.init"
done
start wolfdisk "$programs/wolfdiskctl" up -d "$work/data" -m "$work/mount" --s3 off
watched=${started[0]}
start exclusive "$programs/wolfdiskctl" up -d "$work/exclusive-data" -m "$work/exclusive" -o exclusive --s3 off
start memory "$programs/wolfdisk-ceiling" "$work/memory"
moosefs_start "$work/moosefs"
glusterfs_start "$work/glusterfs"

figures=${figures:-$work/figures.json}
baseline=$(stat -f -c %T "$work/ext4")
[ "$baseline" = ext2/ext3 ] && baseline=ext4
python3 "$here/workloads.py" "${arguments[@]}" --json "$figures" --watch "$watched" \
    "WolfDisk=$work/mount" "exclusive=$work/exclusive" "memory=$work/memory" "MooseFS=$work/moosefs/mount" \
    "GlusterFS=$work/glusterfs/mount" "$baseline=$work/ext4" \
    2> >(tee "$work/failures" >&2) | tee "$work/table"

if [ -z "$keep_doc" ]; then
    python3 "$here/report.py" "$figures" "$work/failures" "${arguments[@]}" \
        > "$work/performance.md"
    cp "$work/performance.md" "$root/docs/performance.md"
    echo "written: docs/performance.md"
fi
