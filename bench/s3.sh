#!/usr/bin/env bash
# Loads the S3 endpoint of WolfDisk and Garage in turn, on one disk, and writes the table of medians to docs/performance.md.
#
#     bench/s3.sh [--rounds N] [--dir DIR] [--keep-doc] [arguments of wolfdisk-s3-load, e.g. --seconds 3 --only put-4k]
#
# WOLFDISK_BIN names a folder of built programs, GARAGE the program of that name. Everything lives below DIR (default: a new
# directory in TMPDIR), and is stopped and removed at the end. Garage runs twice: as it comes, when it answers before
# anything is on the disk, and with `metadata_fsync` and `data_fsync`, when its answers mean what those of WolfDisk mean.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=bench/tidy.sh
. "$here/tidy.sh"
rounds=3 base='' keep_doc=''
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2; shift 2 ;;
        --dir) base=$2; shift 2 ;;
        --keep-doc) keep_doc=1; shift ;;
        *) arguments+=("$1"); shift ;;
    esac
done
programs=${WOLFDISK_BIN:?names the folder of the programs; cargo xtask bench s3 sets it}
: "${GARAGE:?names the program garage; cargo xtask bench s3 builds it}"

# shellcheck source=bench/garage.sh
. "$here/garage.sh"

work=$(mktemp -d "${base:-${TMPDIR:-/tmp}}/wolfdisk-bench-s3-XXXXXX")
started=()
finish() {
    set +e
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null
        wait "$pid"
    done
    remove_unless_mounted "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

mkdir "$work/mount" "$work/keys" "$work/figures"
# On purpose: else it would stay out of a cluster that it hears.
"$programs/wolfdiskctl" init -d "$work/wolfdisk" > "$work/init"
"$programs/wolfdiskctl" up -d "$work/wolfdisk" -m "$work/mount" --s3 127.0.0.1:19878 \
    > "$work/up.out" 2> "$work/up.log" &
started+=($!)
for _ in $(seq 300); do
    grep -q AWS_SECRET_ACCESS_KEY "$work/up.out" && break
    kill -0 $! 2>/dev/null || { cat "$work/up.log" >&2; exit 1; }
    sleep 0.1
done
grep '^export ' "$work/up.out" > "$work/keys/WolfDisk"
garage_start "$work/durable" 19800 true
garage_keys "$work/durable" > "$work/keys/Garage-fsync"
garage_start "$work/plain" 19810 false
garage_keys "$work/plain" > "$work/keys/Garage"

load() {
    local name=$1 url=$2 round=$3
    shift 3
    echo "round $round: $name" >&2
    (
        # shellcheck disable=SC1090
        . "$work/keys/$name"
        "$programs/wolfdisk-s3-load" "$url" "$@" "${arguments[@]}" > "$work/figures/$round.$name.json"
    )
}
for round in $(seq "$rounds"); do
    python3 "$here/s3_limits.py" "$work" > "$work/figures/$round.limits.json"
    load WolfDisk http://127.0.0.1:19878 "$round"
    load Garage-fsync http://127.0.0.1:19800 "$round" --region garage
    load Garage http://127.0.0.1:19810 "$round" --region garage
done
if [ -n "$keep_doc" ]; then
    python3 "$here/s3_report.py" "$work/figures" "$GARAGE" --rounds "$rounds" "${arguments[@]}"
else
    python3 "$here/s3_report.py" "$work/figures" "$GARAGE" --into "$root/docs/performance.md" --rounds "$rounds" \
        "${arguments[@]}"
    echo "written: docs/performance.md"
fi
