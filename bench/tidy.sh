# What every benchmark does last; sourced by them.

# Removes a directory and all below it, unless something is still mounted there.
remove_unless_mounted() {
    if grep -q " $1/" /proc/self/mountinfo; then
        echo "something is still mounted below $1; it is left there" >&2
    else
        rm -rf "$1"
    fi
}
