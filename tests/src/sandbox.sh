#!/usr/bin/env bash
# Makes the namespaces that it was started in a machine of its own, and becomes a shell on it that reads from standard
# input: sandbox.sh NAME FOLDER HOME PROGRAMS.
set -euo pipefail
name=$1 folder=$2 home=$3 programs=$4
hostname "$name"
mount --bind "$home" "$folder/root"
mount --bind "$programs" "$folder/opt/wolfdisk"
# Any of these may hide the folder itself: they are named from inside of it, and no path is made whole.
cd "$folder"
for path in etc mnt opt root run srv tmp var/lib; do
    mount --no-canonicalize --rbind "$path" "/$path"
done
cd /root
exec bash -euo pipefail
