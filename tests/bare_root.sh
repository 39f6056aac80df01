#!/usr/bin/env bash
# Proves the README on a machine that has nothing: makes a bare Debian with debootstrap, puts in only what
# the README asks for (this machine's Rust toolchain, gcc, fuse3), clones this repository there and runs
# the README's commands word for word.
#
#     tests/bare_root.sh [--dir DIR] [--suite bookworm] [--keep] [up | test [GROUP..]]
#
# Without a command: `up`, then `test`. Needs root, debootstrap and the network. It all lives in DIR (default:
# a new directory in TMPDIR) and in namespaces of its own, so that nothing is left when it ends.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suite=bookworm dir= keep=
while [ $# -gt 0 ]; do
    case $1 in
        --dir) dir=$2; shift 2 ;;
        --suite) suite=$2; shift 2 ;;
        --keep) keep=1; shift ;;
        *) break ;;
    esac
done
what=${1:-all}
[ $# -eq 0 ] || shift

if [ "$(id -u)" != 0 ]; then
    echo "run as root: debootstrap and chroot need it" >&2
    exit 2
fi
command -v debootstrap > /dev/null || {
    echo "debootstrap is missing; run: apt install debootstrap" >&2
    exit 2
}
[ -n "$dir" ] || dir=$(mktemp -d "${TMPDIR:-/tmp}/wolfdisk-bare-XXXXXX")
root=$dir/root

finish() {
    [ -n "$keep" ] && { echo "kept: $root" >&2; return; }
    if grep -q " $root/" /proc/self/mountinfo; then
        echo "something is still mounted below $root; it is left there" >&2
    else
        rm -rf "$dir"
    fi
}
trap finish EXIT

if [ ! -x "$root/usr/bin/apt" ]; then
    debootstrap --variant=minbase "$suite" "$root" http://deb.debian.org/debian
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
# An installer makes this link; fusermount3 looks for it.
ln -sf /proc/self/mounts "$root/etc/mtab"
for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -n "${!variable:-}" ] && echo "export $variable='${!variable}'"
done > "$root/etc/bare-environment" || true

# What rustup would leave: the toolchain, and the certificates that any download of it needs.
sysroot=$(cd "$repository" && rustc --print sysroot)
mkdir -p "$root/opt/rust" "$root/etc/ssl/certs"
cp -a "$sysroot/." "$root/opt/rust/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root/root/wolfdisk"
git -c safe.directory='*' clone --quiet --no-local "$repository" "$root/root/wolfdisk"

cat > "$root/root/prerequisites.sh" <<'INNER'
set -euo pipefail
. /etc/bare-environment
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends gcc libc6-dev fuse3
INNER

cat > "$root/root/up.sh" <<'INNER'
set -euo pipefail
. /etc/bare-environment
export PATH=/opt/rust/bin:$PATH HOME=/root
cd /root/wolfdisk
cargo xtask up > /root/up.out &
up=$!
while ! grep -q '^ready mount=' /root/up.out; do
    kill -0 $up || { wait $up; echo "up ended before it was ready" >&2; exit 1; }
    sleep 0.5
done
cat /root/up.out
mount=$(sed -n 's/^ready mount=\([^ ]*\).*/\1/p' /root/up.out)
cp -a /usr/share/doc "$mount/doc"
diff -r --no-dereference /usr/share/doc "$mount/doc"
kill -INT $up
wait $up
! grep -q " $mount " /proc/self/mountinfo
echo "cargo xtask up: passed"
INNER

cat > "$root/root/test.sh" <<'INNER'
set -euo pipefail
. /etc/bare-environment
export PATH=/opt/rust/bin:$PATH HOME=/root
cd /root/wolfdisk
cargo xtask test "$@"
INNER

# A process namespace of its own ends everything with its first process, a mount namespace every mount.
inside() {
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1; shift
        mount --make-rprivate /
        # As on a real machine: the root is a mount.
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=755 tmpfs "$root/run"
        exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb bash "$@"
    ' bash "$root" "$@"
}

inside /root/prerequisites.sh
case $what in
    up) inside /root/up.sh ;;
    test) inside /root/test.sh "$@" ;;
    all) inside /root/up.sh && inside /root/test.sh "$@" ;;
    *) echo "what is $what? up, test or nothing" >&2; exit 2 ;;
esac
echo "bare root: passed"
