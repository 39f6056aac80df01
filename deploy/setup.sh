#!/usr/bin/env bash
# Makes this machine a WolfDisk node, asking what it has to know: `setup.sh --help`.
#
# One file, for `curl -sSL URL | sudo bash`: nothing runs before its last line, which a cut download lacks, and answers
# are read from the terminal. It decides nothing about the configuration itself: each answer is put into a draft that
# `wolfdiskctl config check` judges. All is checked before the first change; every change is a file renamed into place,
# and is undone when a later one fails.
# shellcheck disable=SC2317 # `put_NAME`, and what takes changes back, are called by their names
set -euo pipefail

readonly CONFIG=/etc/wolfdisk/config.toml
readonly PROGRAMS=(wolfdiskctl wolfdisk-meta wolfdisk-chunkd wolfdisk-fuse wolfdisk-s3)
readonly BIN=/usr/local/bin UNITS=/etc/systemd/system SHARE=/usr/local/share
readonly MANIFEST=$SHARE/wolfdisk/installed
# Where mount(8) looks for it, and nowhere else.
readonly HELPER=/sbin/mount.wolfdisk
readonly META_PORT=9500 DISCOVERY_PORT=9501 GROUP=udp://239.255.0.1:9501 S3_LOCAL=127.0.0.1:9878
# Less is taken by the reserve that a node keeps free, before the first file is written.
readonly NODE_MIN_MIB=1024 CLIENT_MIN_MIB=16
# How long a node may take from its start to the first answer.
readonly START_SECONDS=60

# What was said on the command line, in a file of answers, or typed; by the name of the option.
declare -A ANSWER=()
DATA=/var/lib/wolfdisk ROOT='' FROM='' SHA256='' ANSWERS='' STAGE='' CONTROL='' UNITS_FROM='' HELPER_FROM='' SHARE_FROM='' PACKAGE='' DRAFT='' TTY='' ERRORS='' WRONG='' MEMBER=''
YES=false DRY_RUN=false UNINSTALL=false REMOVE_DATA=false INTERACTIVE=false INSTALLED=false DONE=false
PROBLEMS=() UNDO=() CHANGED=() MANAGED=()

usage() {
    cat <<'END'
Usage: setup.sh [OPTIONS]
       curl -sSL URL | sudo bash -s -- [OPTIONS]

Installs WolfDisk on this machine, configures it and starts it; asks for what no option says.
A second run changes what was answered otherwise, and nothing else.

Programs:
  --from WHAT            a folder of built programs or a source tree, a .tar.gz or .deb, its URL, or `installed`
  --sha256 HEX           SHA-256 of the file [default: the first word of WHAT.sha256]

Answers:
  --id NAME              name of the node [default: the host name]
  --role ROLE            auto, leader, follower or client [default: auto]
  --bind ADDRESS[:PORT]  where other nodes reach this one [default: all addresses, port 9500]
  --discovery HOW        automatic, peers or standalone [default: automatic]
  --peers HOST[:PORT],.. nodes to ask, for --discovery peers
  --join HOW             found, token or key [default: found, or what is given below]
  --token TOKEN          join by a token of `wolfdiskctl join-token`
  --token-file FILE      the same, where no list of processes shows it
  --key-file FILE        join as a node by a copy of the cluster's cluster.key
  --mode MODE            shared or replicated [default: shared]
  --factor N             copies of each chunk, for --mode replicated
  --mount PATH           where the files appear; a client may say none [default: /mnt/wolfdisk]
  --s3 WHERE             off, local (127.0.0.1:9878) or ADDRESS:PORT [default: off]
  --s3-access-key ID     for an S3 address that others reach [default: a new one]
  --s3-secret-key TEXT   its secret; better in a file of answers
  --answers FILE         lines `name=value`, named as these options, `#` begins a comment

How:
  --yes                  ask nothing: what is not said is the default
  --dry-run              say what would be done, and what is in the way; change nothing
  --root DIR             set up a tree that is not running, for an image; nothing is started
  --uninstall            stop and remove the programs; the data and the configuration stay
  --remove-data          with --uninstall: remove those too
  --help                 this
END
}

# ---- saying and ending ------------------------------------------------------------------------------------------

say() { printf '%s\n' "$@"; }
warn() { printf 'setup.sh: warning: %s\n' "$*" >&2; }
fail() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 1
}
refuse() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 2
}

# Runs at every end: takes back what was changed, unless all was.
finish() {
    local code=$? at
    trap '' INT TERM HUP
    # A signal may come while what is said goes elsewhere.
    exec 2>&"$ERRORS"
    if ! $DONE; then
        ((${#UNDO[@]} == 0)) || say 'setup.sh: taking back what was changed' >&2
        for ((at = ${#UNDO[@]} - 1; at >= 0; at--)); do
            eval "${UNDO[at]}" || warn "this could not be taken back: ${UNDO[at]}"
        done
    fi
    [[ -z $STAGE ]] || rm -rf "$STAGE"
    exit "$code"
}

# Notes a command that takes the next change back.
undo() { UNDO+=("$(printf '%q ' "$@")"); }

# ---- the command line ---------------------------------------------------------------------------------------------

# Keeps one answer by the name of its option.
answer() {
    case $1 in
    id | role | bind | discovery | peers | join | token | token-file | key-file | mode | factor | mount | s3 | s3-access-key | s3-secret-key)
        ANSWER[$1]=$2
        ;;
    from) FROM=$2 ;;
    sha256) SHA256=${2,,} ;;
    *) return 1 ;;
    esac
}

read_arguments() {
    local name value
    while (($# > 0)); do
        name=$1
        shift
        case $name in
        --yes | -y) YES=true ;;
        --dry-run) DRY_RUN=true ;;
        --uninstall) UNINSTALL=true ;;
        --remove-data) REMOVE_DATA=true ;;
        --help | -h)
            usage
            exit 0
            ;;
        --*)
            case $name in
            *=*) value=${name#*=} name=${name%%=*} ;;
            *)
                (($# > 0)) || refuse "$name needs a value; see --help"
                value=$1
                shift
                ;;
            esac
            case $name in
            --root) ROOT=${value%/} ;;
            --answers) ANSWERS=$value ;;
            *) answer "${name#--}" "$value" || refuse "there is no option $name; see --help" ;;
            esac
            ;;
        *) refuse "what is $name? see --help" ;;
        esac
    done
    $UNINSTALL || ! $REMOVE_DATA || refuse '--remove-data goes with --uninstall'
    [[ -z $ROOT || ($ROOT == /* && -d $ROOT) ]] || refuse "--root $ROOT is no folder by its whole path"
    [[ -z $ANSWERS ]] || read_answers
}

# Reads the file of answers; what the command line says wins.
read_answers() {
    local line name value number=0
    [[ -r $ANSWERS ]] || refuse "cannot read the answers in $ANSWERS"
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1))
        line=$(trimmed "$line")
        [[ -n $line && $line != \#* ]] || continue
        [[ $line == *=* ]] || refuse "$ANSWERS, line $number: \"$line\" is not name=value"
        name=$(trimmed "${line%%=*}") value=$(trimmed "${line#*=}")
        case $name in
        from) value=${FROM:-$value} ;;
        sha256) value=${SHA256:-$value} ;;
        *) value=${ANSWER[$name]:-$value} ;;
        esac
        answer "$name" "$value" || refuse "$ANSWERS, line $number: there is no answer named $name; see --help"
    done <"$ANSWERS"
}

trimmed() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

# ---- asking -------------------------------------------------------------------------------------------------------

# Opens the terminal, which is not standard input when that is this script.
open_terminal() {
    ! $YES || return 0
    if { exec {TTY}<>/dev/tty; } 2>/dev/null; then
        INTERACTIVE=true
    elif ! $DRY_RUN; then
        refuse 'there is no terminal to ask at; say --yes and what is not to be the default (see --help)'
    fi
}

# Reads one line typed after a prompt into REPLY.
prompt() {
    printf '%s' "$1" >&"$TTY"
    IFS= read -r -u "$TTY" REPLY || {
        printf '\n' >&"$TTY"
        fail 'no answer; nothing was changed'
    }
    REPLY=$(trimmed "$REPLY")
}

# Takes the answer NAME into the draft by `put_NAME`: the one that was said, else the default or one that is typed, again and
# again until it is good.
ask() {
    local name=$1 question=$2 default=$3 put="put_${1//-/_}"
    if [[ -n ${ANSWER[$name]+said} ]]; then
        "$put" "${ANSWER[$name]}" || refuse "--$name ${ANSWER[$name]}: $WRONG"
        return
    fi
    while $INTERACTIVE; do
        prompt "$question${default:+ [$default]}: "
        REPLY=${REPLY:-$default}
        if "$put" "$REPLY"; then
            ANSWER[$name]=$REPLY
            return
        fi
        printf '  %s\n' "$WRONG" >&"$TTY"
    done
    "$put" "$default" || refuse "--$name ${default:-is needed}: $WRONG"
    ANSWER[$name]=$default
}

# Whether the question is answered by yes; without a terminal it is.
agreed() {
    $INTERACTIVE || return 0
    while true; do
        prompt "$1 [yes/no]: "
        case ${REPLY,,} in
        y | yes) return 0 ;;
        n | no) return 1 ;;
        esac
        printf '  yes or no\n' >&"$TTY"
    done
}

# ---- the draft of the configuration -------------------------------------------------------------------------------

# Prints the value of SECTION.KEY in FILE without its quotes; nothing if it is not set.
value_of() {
    awk -v section="[${2%%.*}]" -v key="${2#*.}" '
        /^[ \t]*\[/ { inside = index($0, section) > 0; next }
        inside && $0 ~ "^[ \t]*" key "[ \t]*=" {
            sub(/^[^=]*=[ \t]*/, "")
            if (match($0, /^"[^"]*"/)) print substr($0, 2, RLENGTH - 2)
            else if (match($0, /^\[[^\]]*\]/)) print substr($0, 1, RLENGTH)
            else { sub(/[ \t]*(#.*)?$/, ""); print }
            exit
        }' "$1"
}

# Sets SECTION.KEY of FILE to a value as TOML writes it, where it is set or, commented out, explained; all else stays. `-`
# takes it out.
set_value() {
    local file=$1 name=$2
    VALUE=$3 awk -v section="[${name%%.*}]" -v key="${name#*.}" '
        function line() { return ENVIRON["VALUE"] == "-" ? "#" $0 : key " = " ENVIRON["VALUE"] }
        NR == FNR {
            if ($0 ~ /^[ \t]*\[/) inside = index($0, section) > 0
            else if (inside && $0 ~ "^[ \t]*" key "[ \t]*=") active = 1
            if (index($0, section) == 1) found = 1
            next
        }
        FNR == 1 { inside = 0 }
        /^[ \t]*\[/ {
            if (inside && !done && ENVIRON["VALUE"] != "-") { print line(); done = 1 }
            inside = index($0, section) > 0
        }
        inside && !done && active && $0 ~ "^[ \t]*" key "[ \t]*=" { print line(); done = 1; next }
        inside && !done && !active && ENVIRON["VALUE"] != "-" && $0 ~ "^#" key " = " { print line(); done = 1; next }
        { print }
        END {
            if (done || ENVIRON["VALUE"] == "-") exit
            if (!found) print section
            print line()
        }' "$file" "$file" >"$file.set"
    mv "$file.set" "$file"
}

# A text as TOML writes it.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

# Puts pairs of SECTION.KEY and value into the draft, if the programs take them there; else WRONG says why not.
put() {
    local try=$STAGE/try.toml
    cp "$DRAFT" "$try"
    while (($# > 0)); do
        set_value "$try" "$1" "$2" || return 1
        shift 2
    done
    if ! WRONG=$("$CONTROL" --config "$try" config check 2>&1 >/dev/null); then
        WRONG=${WRONG#wolfdiskctl: } WRONG=${WRONG#"$try: "}
        return 1
    fi
    mv "$try" "$DRAFT"
}

# Says what is wrong with an answer.
wrong() {
    WRONG=$1
    return 1
}

put_id() { put node.id "$(quoted "$1")"; }
put_role() { put node.role "$(quoted "$1")"; }
put_mode() { put replication.mode "$(quoted "$1")"; }

put_factor() {
    [[ $1 =~ ^[0-9]{1,4}$ ]] || wrong "\"$1\" is no number of copies; allowed: a whole number from 1 to 16" || return
    put replication.factor "$1"
}

put_bind() {
    local bind=$1
    [[ $bind == *.*:* || $bind == *]:* ]] || bind=$bind:$META_PORT
    put node.bind "$(quoted "$bind")" || return
    is_own_address "${bind%:*}" || wrong "${bind%:*} is no address of this machine; allowed: $(own_choices)"
}

put_discovery() {
    case $1 in
    automatic) put cluster.discovery "$(quoted "$GROUP")" ;;
    peers) put cluster.discovery '"none"' ;;
    standalone) put cluster.discovery '"none"' cluster.peers '[]' ;;
    *) wrong "\"$1\" is not allowed; allowed: automatic, peers or standalone" ;;
    esac
}

put_peers() {
    local peer list='' peers
    IFS=', ' read -r -a peers <<<"$1"
    ((${#peers[@]} > 0)) || wrong 'name at least one node, as beta or 10.0.0.2:9500' || return
    for peer in "${peers[@]}"; do
        [[ -n $peer ]] || continue
        [[ $peer == *:* ]] || peer=$peer:$META_PORT
        list+=${list:+, }$(quoted "$peer")
    done
    put cluster.peers "[$list]"
}

put_join() {
    case $1 in
    found | token | key) ;;
    *) wrong "\"$1\" is not allowed; allowed: found, token or key" || return ;;
    esac
    [[ $1 == token || ${ANSWER[role]} != client ]] || wrong 'a client joins by a token; on a node: wolfdiskctl join-token' || return
    [[ $1 == found || ${ANSWER[discovery]:-} != standalone ]] || wrong 'a node that stands alone joins none; choose another --discovery'
}

put_token() {
    [[ $1 =~ ^wdj[0-9]+_[^[:space:]]+$ ]] || wrong 'this is no join token, which begins with wdj1_; make one on a node: wolfdiskctl join-token'
}

put_key_file() {
    [[ -f $1 && -r $1 ]] || wrong "cannot read $1; copy cluster.key from $DATA of a node, and remove the copy afterwards"
}

put_mount() {
    if [[ $1 == none ]]; then
        [[ ${ANSWER[role]} == client ]] || wrong 'a node has a mount; allowed: an absolute path' || return
        put mount.path -
        return
    fi
    put mount.path "$(quoted "$1")" || return
    [[ ! -e $ROOT$1 || -d $ROOT$1 ]] || wrong "$1 is there and no folder" || return
    [[ -d $ROOT$1 ]] || return 0
    is_mounted "$ROOT$1" || [[ -z $(ls -A "$ROOT$1") ]] || wrong "$1 is not empty; choose another or move its files away"
}

put_s3() {
    case $1 in
    off) put s3.enabled false ;;
    local) put s3.enabled true s3.bind "$(quoted "$S3_LOCAL")" ;;
    127.* | \[::1\]:*) put s3.enabled true s3.bind "$(quoted "$1")" ;;
    *)
        # Who others reach needs a key; one is made if none is said and none is there.
        local key secret
        key=${ANSWER[s3-access-key]:-$(value_of "$DRAFT" s3.access_key)}
        secret=${ANSWER[s3-secret-key]:-$(value_of "$DRAFT" s3.secret_key)}
        [[ -n $key ]] || key=WD$(random_text A-Z0-9 18)
        [[ -n $secret ]] || secret=$(random_text A-Za-z0-9 40)
        put s3.enabled true s3.bind "$(quoted "$1")" s3.access_key "$(quoted "$key")" s3.secret_key "$(quoted "$secret")"
        ;;
    esac
}

# LENGTH random characters of a set.
random_text() { head -c 4096 /dev/urandom | LC_ALL=C tr -dc "$1" | cut -c "1-$2"; }

# ---- looking at the machine ---------------------------------------------------------------------------------------

own_addresses() { hostname -I 2>/dev/null | tr -s ' ' ' ' | sed 's/ $//'; }

# The same for people; a machine may have no address but loopback's.
own_choices() {
    local own
    own=$(own_addresses)
    printf '%s' "${own:+$own, or }0.0.0.0 for all"
}

is_own_address() {
    local address=${1#[} own
    address=${address%]}
    case $address in 0.0.0.0 | :: | 127.*) return 0 ;; esac
    # The tree may be for another machine.
    [[ -z $ROOT ]] || return 0
    for own in $(own_addresses); do
        [[ $own != "$address" ]] || return 0
    done
    return 1
}

is_mounted() { awk -v at="$1" '$2 == at { found = 1 } END { exit !found }' /proc/self/mounts; }

# The nearest folder above a path that is there.
existing() {
    local path=$1
    while [[ ! -e $path ]]; do path=$(dirname "$path"); done
    printf '%s' "$path"
}

problem() { PROBLEMS+=("$1"); }

# Shows all that is in the way at once.
stop_at_problems() {
    ((${#PROBLEMS[@]} > 0)) || return 0
    $DRY_RUN || printf 'setup.sh: %s\n' "${PROBLEMS[@]}" 'nothing was changed' >&2
    $DRY_RUN || exit 1
}

check_root_user() { ((EUID == 0)) || problem 'only root may set up a node; put sudo before bash'; }

check_systemd() {
    [[ -d /run/systemd/system ]] || problem 'this machine was not started by systemd, which runs the node; without it run the node in the foreground: wolfdiskctl up'
}

check_fuse() {
    if ! { : <>/dev/fuse; } 2>/dev/null; then
        if [[ $(systemd-detect-virt --container 2>/dev/null) == lxc ]]; then
            problem 'this container has no /dev/fuse; in Proxmox tick Options, Features, FUSE (fuse=1) of the container, start it anew, and run this again'
        else
            problem 'there is no /dev/fuse that opens; run: modprobe fuse (in a container: give it the device /dev/fuse)'
        fi
    fi
    command -v fusermount3 >/dev/null || problem 'fusermount3 is missing; run: apt install fuse3 (Fedora: dnf install fuse3)'
}

# Something listens on a TCP port, by the tables of the kernel.
is_taken() {
    local hex tables=(/proc/net/tcp)
    [[ ! -r /proc/net/tcp6 ]] || tables+=(/proc/net/tcp6)
    printf -v hex ':%04X' "$1"
    awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' "${tables[@]}"
}

check_ports() {
    local port option who
    for port in $(wanted_ports); do
        is_taken "$port" || continue
        who=$(who_listens "$port")
        # The node that is configured anew has it itself.
        if [[ $who == 'by wolfdisk-'* ]] && systemctl is-active --quiet wolfdisk.service 2>/dev/null; then continue; fi
        option=--bind
        [[ $port != "$(s3_port)" ]] || option=--s3
        problem "port $port is in use ($who); stop that, or choose another by $option ADDRESS:PORT"
    done
}

# Who listens on a TCP port, by the tables of the kernel: `ss` is not on every machine.
who_listens() {
    local hex inode link process tables=(/proc/net/tcp)
    [[ ! -r /proc/net/tcp6 ]] || tables+=(/proc/net/tcp6)
    printf -v hex ':%04X' "$1"
    inode=$(awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10; exit }' "${tables[@]}")
    # Processes end while they are looked through.
    link=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$inode\]" -print -quit 2>/dev/null) || true
    process=${link#/proc/} process=${process%%/*}
    if [[ -n $process ]]; then
        printf 'by %s, process %s' "$(cat "/proc/$process/comm" 2>/dev/null)" "$process"
    else
        printf 'see: ss -ltnp'
    fi
}

s3_port() {
    [[ $(value_of "$DRAFT" s3.enabled) == true ]] || return 0
    local bind
    bind=$(value_of "$DRAFT" s3.bind)
    printf '%s' "${bind##*:}"
}

# TCP ports that the node will listen on.
wanted_ports() {
    local bind
    if [[ ${ANSWER[role]} != client ]]; then
        bind=$(value_of "$DRAFT" node.bind)
        say "${bind##*:}" "$((${bind##*:} + 2))"
    fi
    bind=$(s3_port)
    [[ -z $bind ]] || say "$bind"
}

check_firewall() {
    local ports list
    mapfile -t ports < <(wanted_ports)
    ((${#ports[@]} > 0)) || return 0
    list=$(printf ', %s' "${ports[@]}")
    if systemctl is-active --quiet firewalld 2>/dev/null; then
        warn "firewalld runs; let others in: firewall-cmd --permanent$(printf ' --add-port=%s/tcp' "${ports[@]}") --add-port=$DISCOVERY_PORT/udp && firewall-cmd --reload"
    elif ufw status 2>/dev/null | grep -q '^Status: active'; then
        warn "ufw runs; let others in:$(printf ' ufw allow %s/tcp;' "${ports[@]}") ufw allow $DISCOVERY_PORT/udp"
    elif nft list ruleset 2>/dev/null | grep -q 'hook input.*policy drop'; then
        warn "nftables drops what comes in; let others in: nft add rule inet filter input tcp dport { ${list#, } } accept; nft add rule inet filter input udp dport $DISCOVERY_PORT accept"
    fi
}

check_clock() {
    [[ $(timedatectl show -p NTPSynchronized --value 2>/dev/null) != no ]] ||
        warn 'the clock is not synchronised; times of files will differ between machines; run: timedatectl set-ntp true'
}

# Refuses when there is less than MIB of room where PATH is.
check_room() {
    local path=$1 needed=$2 free
    path=$(existing "$ROOT$path")
    free=$(($(df -Pk "$path" | awk 'END { print $4 }') / 1024))
    ((free >= needed)) || problem "$path has $free MiB free, $1 needs $needed; make room, or mount a larger disk at $1"
}

check_writable() {
    local path
    for path in "$@"; do
        path=$(existing "$ROOT$path")
        [[ -w $path ]] || problem "$path cannot be written; if it is mounted read-only, run: mount -o remount,rw $(df -P "$path" | awk 'END { print $6 }')"
    done
}

# Some systems let nothing be written in /usr but in /usr/local: there all works but what mount(8) does.
check_helper() {
    local path
    path=$(existing "$ROOT$HELPER")
    [[ ! -w $path ]] || return 0
    warn "$path cannot be written: mount -t wolfdisk and /etc/fstab will not know WolfDisk; use: wolfdiskctl mount"
    HELPER_FROM=''
}

# What must be right before anything is asked.
check_machine() {
    check_root_user
    if [[ -z $ROOT ]]; then
        check_systemd
        [[ ${ANSWER[mount]:-} == none ]] || check_fuse
    fi
    stop_at_problems
}

# What the answers need.
check_answers() {
    local needed=$NODE_MIN_MIB
    [[ ${ANSWER[role]} != client ]] || needed=$CLIENT_MIN_MIB
    [[ -n $MEMBER ]] || check_room "$DATA" "$needed"
    check_writable $CONFIG "$DATA"
    if ! $INSTALLED; then
        check_writable $BIN $UNITS $MANIFEST
        check_helper
        check_room $BIN $(($(du -mcL "${PROGRAMS[@]/#/${CONTROL%/*}/}" | awk 'END { print $1 }') + 16))
    fi
    if [[ -z $ROOT ]]; then
        check_ports
        check_firewall
        check_clock
    fi
    stop_at_problems
}

# ---- where the programs come from ---------------------------------------------------------------------------------

# The folder that is likely meant when none is said.
likely_source() {
    local here=${BASH_SOURCE[0]:-}
    [[ ${here##*/} == setup.sh && -f $here ]] && here=$(cd "$(dirname "$here")" && pwd) || here=
    if [[ -n $here ]] && has_programs "$here"; then
        say "$here"
    elif [[ -n $here ]] && has_programs "${here%/deploy}"; then
        say "${here%/deploy}"
    elif [[ -x $ROOT/usr/bin/wolfdiskctl || -x $ROOT$BIN/wolfdiskctl ]]; then
        say installed
    fi
}

has_programs() { [[ -n $(programs_in "$1") ]]; }

# The folder of programs in a tree: built, packed or installed.
programs_in() {
    local folder
    for folder in "$1" "$1"/bin "$1"/usr/bin "$1"/target/release "$1"/target/checked "$1"/*/bin "$1"/*; do
        if [[ -x $folder/wolfdiskctl && ! -d $folder/wolfdiskctl ]]; then
            printf '%s' "$folder"
            return
        fi
    done
}

units_in() {
    local folder
    for folder in "$1"/systemd "$1"/deploy/systemd "$1"/usr/lib/systemd/system "$1"/lib/systemd/system "$1"/*/systemd \
        "$1"/../systemd "$1"/../../deploy/systemd; do
        if [[ -f $folder/wolfdisk.service ]]; then
            printf '%s' "$folder"
            return
        fi
    done
}

# Manual pages and completions in a tree, if it has them.
share_in() {
    local folder
    for folder in "$1"/share "$1"/*/share; do
        if [[ -f $folder/man/man1/wolfdiskctl.1.gz ]]; then
            printf '%s' "$folder"
            return
        fi
    done
}

# What mount(8) runs for the type wolfdisk, in a tree.
helper_in() {
    local file
    for file in "$1"/mount.wolfdisk "$1"/deploy/mount.wolfdisk "$1"/usr/sbin/mount.wolfdisk "$1"/*/mount.wolfdisk \
        "$1"/../mount.wolfdisk "$1"/../../deploy/mount.wolfdisk; do
        if [[ -f $file ]]; then
            printf '%s' "$file"
            return
        fi
    done
}

# Accepts a source; sets CONTROL, and UNITS_FROM, HELPER_FROM and SHARE_FROM or INSTALLED.
put_from() {
    local from=$1 tree=''
    INSTALLED=false PACKAGE=''
    case $from in
    '') wrong 'name a folder, a .tar.gz or .deb, or its URL' || return ;;
    installed)
        INSTALLED=true
        CONTROL=$ROOT/usr/bin/wolfdiskctl
        [[ -x $CONTROL ]] || CONTROL=$ROOT$BIN/wolfdiskctl
        [[ -x $CONTROL ]] || wrong 'WolfDisk is not installed here; name a folder, a file or a URL' || return
        works
        return
        ;;
    http://* | https://*) download "$from" || return ;;
    *)
        [[ -e $from ]] || wrong "there is no $from" || return
        tree=$from
        ;;
    esac
    tree=${tree:-$STAGE/fetched/${from##*/}}
    if [[ ! -d $tree ]]; then
        is_whole "$tree" || return
        unpack "$tree" || return
        tree=$STAGE/tree
    fi
    tree=$(cd "$tree" && pwd)
    CONTROL=$(programs_in "$tree")/wolfdiskctl
    [[ $CONTROL != /wolfdiskctl ]] || wrong "$from has no wolfdiskctl; in a source tree build first: cargo build --release" || return
    UNITS_FROM=$(units_in "$tree")
    [[ -n $UNITS_FROM ]] || wrong "$from has no systemd/wolfdisk.service" || return
    HELPER_FROM=$(helper_in "$tree")
    [[ -n $HELPER_FROM ]] || wrong "$from has no mount.wolfdisk" || return
    SHARE_FROM=$(share_in "$tree")
    local name
    for name in "${PROGRAMS[@]}"; do
        [[ -x ${CONTROL%/*}/$name ]] || wrong "${CONTROL%/*} has no $name" || return
    done
    works
}

# The programs run here.
works() {
    "$CONTROL" --version >/dev/null 2>"$STAGE/said" ||
        wrong "$CONTROL does not run on this machine ($(uname -m)): $(<"$STAGE/said"); if ${TMPDIR:-/tmp} is mounted noexec, set TMPDIR"
}

download() {
    local url=$1 file=$STAGE/fetched/${1##*/}
    [[ $url == https:* || -n $SHA256 ]] || wrong "over http: anybody on the way may change the file and its .sha256; use https:, or say --sha256" || return
    mkdir -p "$STAGE/fetched"
    say "fetching $url"
    curl -fsSL --retry 2 --connect-timeout 20 -o "$file" "$url" 2>"$STAGE/said" || wrong "cannot fetch $url: $(<"$STAGE/said")" || return
    [[ -n $SHA256 ]] || curl -fsSL --retry 2 --connect-timeout 20 -o "$file.sha256" "$url.sha256" 2>"$STAGE/said" ||
        wrong "cannot fetch $url.sha256: $(<"$STAGE/said"); or say --sha256"
}

# A file is the one that was meant.
is_whole() {
    local file=$1 expected=$SHA256 found rest
    if [[ -z $expected ]]; then
        [[ -r $file.sha256 ]] || wrong "there is no $file.sha256 to check it by; fetch that too, or say --sha256" || return
        read -r expected rest <"$file.sha256" || [[ -n $expected ]]
    fi
    [[ ${expected,,} =~ ^[0-9a-f]{64}$ ]] || wrong "\"$expected\" is no SHA-256, which is 64 of 0-9a-f" || return
    read -r found rest < <(sha256sum "$file")
    [[ $found == "${expected,,}" ]] || wrong "$file is not the file that was meant: its SHA-256 is $found, not ${expected,,}; fetch it again"
}

unpack() {
    local file=$1
    rm -rf "$STAGE/tree"
    mkdir "$STAGE/tree"
    case $file in
    *.deb)
        [[ -z $ROOT ]] || wrong 'a .deb is not for --root; use dpkg --root, or a .tar.gz' || return
        command -v dpkg-deb >/dev/null || wrong 'a .deb is for Debian and its like; use the .tar.gz' || return
        dpkg-deb -x "$file" "$STAGE/tree" 2>"$STAGE/said" || wrong "cannot unpack $file: $(<"$STAGE/said")" || return
        PACKAGE=$(realpath "$file") INSTALLED=true
        ;;
    *.tar | *.tar.* | *.tgz)
        tar -xf "$file" --no-same-owner -C "$STAGE/tree" 2>"$STAGE/said" || wrong "cannot unpack $file: $(<"$STAGE/said")"
        ;;
    *) wrong "$file is no .tar.gz and no .deb" ;;
    esac
}

choose_source() {
    local default
    default=$(likely_source)
    [[ -z $FROM ]] || ANSWER[from]=$FROM
    if [[ -n $default && -z $FROM ]]; then
        ANSWER[from]=$default
        say "programs from $default"
    fi
    ask from 'Where are the programs? A folder, a .tar.gz or .deb, or its URL' ''
}

# ---- the questions ------------------------------------------------------------------------------------------------

# The draft begins with what is configured, else with the example that explains every field.
begin_draft() {
    DRAFT=$STAGE/config.toml
    if [[ -f $ROOT$CONFIG ]]; then
        cp "$ROOT$CONFIG" "$DRAFT"
        "$CONTROL" --config "$DRAFT" config check >/dev/null 2>"$STAGE/said" ||
            fail "$CONFIG is not good: $(sed "s|$DRAFT: ||" "$STAGE/said"); correct it or move it away"
    else
        "$CONTROL" config example >"$DRAFT"
    fi
    # Said outright: what is run by another user than root would look for it at home.
    DATA=$(present node.data_dir "$DATA")
    put node.data_dir "$(quoted "$DATA")" || fail "node.data_dir of $CONFIG: $WRONG"
    if [[ -f $ROOT$DATA/member.toml ]]; then
        MEMBER=$ROOT$DATA/member.toml
    elif [[ -f $ROOT$DATA/identity.toml ]]; then
        MEMBER=$ROOT$DATA/identity.toml
    fi
}

# What is configured, else a default.
present() {
    local value
    value=$(value_of "$DRAFT" "$1")
    printf '%s' "${value:-$2}"
}

host_id() {
    local name
    name=$(hostname -s 2>/dev/null || uname -n)
    name=${name,,}
    printf '%.63s' "${name//[!a-z0-9-]/-}"
}

ask_all() {
    local default peers
    ask id 'Name of this node' "$(present node.id "$(host_id)")"
    ask role 'Role (auto, leader, follower, client)' "$(present node.role auto)"
    if [[ ${ANSWER[role]} != client ]]; then
        ask bind "Address on which other nodes reach this one ($(own_choices))" "$(present node.bind 0.0.0.0:$META_PORT)"
        peers=$(value_of "$DRAFT" cluster.peers | tr -d '[]" ')
        case $(value_of "$DRAFT" cluster.discovery)/$peers in
        none/) default=standalone ;;
        none/*) default=peers ;;
        *) default=automatic ;;
        esac
        [[ -z ${ANSWER[peers]:-} ]] || default=peers
        ask discovery 'How do nodes find each other? (automatic, peers, standalone)' "$default"
        if [[ ${ANSWER[discovery]} == peers ]]; then
            ask peers 'Nodes to ask, as beta or 10.0.0.2:9500' "$peers"
        fi
    fi
    [[ -n $MEMBER ]] || ask_join
    if [[ ${ANSWER[role]} != client ]]; then
        ask mode 'One copy of the data (shared) or several (replicated)' "$(present replication.mode shared)"
        if [[ ${ANSWER[mode]} == replicated ]]; then
            ask factor 'Copies of each chunk' "$(present replication.factor 3)"
        fi
    fi
    default=$(present mount.path /mnt/wolfdisk)
    ask mount 'Where do the files appear?' "$default"
    default=off
    [[ $(value_of "$DRAFT" s3.enabled) != true ]] || default=$(present s3.bind $S3_LOCAL)
    ask s3 'Answer S3? (off, local, or an address as 0.0.0.0:9878)' "$default"
    if [[ -z $MEMBER && ${ANSWER[mount]} == none && ${ANSWER[s3]} == off ]]; then
        refuse 'neither a mount nor S3: there is nothing to run'
    fi
}

ask_join() {
    local default=found
    if [[ -n ${ANSWER[token-file]:-} ]]; then
        [[ -r ${ANSWER[token-file]} ]] || refuse "--token-file ${ANSWER[token-file]}: cannot be read"
        ANSWER[token]=$(trimmed "$(<"${ANSWER[token-file]}")")
    fi
    [[ ${ANSWER[role]} != client && -z ${ANSWER[token]:-} ]] || default=token
    [[ -z ${ANSWER[key-file]:-} ]] || default=key
    # Whoever gives a token or a key has answered.
    if [[ -z ${ANSWER[join]:-} && $default != found ]]; then ANSWER[join]=$default; fi
    ask join 'Found a new cluster, or join one by a token or a copy of its key? (found, token, key)' "$default"
    # shellcheck disable=SC2016 # a command to type
    case ${ANSWER[join]} in
    token) ask token 'Join token, which `wolfdiskctl join-token` prints on a node' '' ;;
    key) ask key-file 'File with the copy of cluster.key' '' ;;
    esac
}

show_plan() {
    say '' "$CONFIG:"
    sed -n -e 's/^secret_key = .*/secret_key = (not shown)/' -e '/^[[:space:]]*[^#[:space:]]/s/^/    /p' "$DRAFT" |
        awk '/^ *\[/ { section = $0; next } { if (section != "") print section; section = ""; print }'
    if [[ -n $MEMBER ]]; then
        say "data in $DATA is there and stays: $(sed -n 's/^\(node\|name\) *= */node /p' "$MEMBER" | head -n 1)"
    else
        case ${ANSWER[join]} in
        found) say "data in $DATA: a new cluster is founded" ;;
        *) say "data in $DATA: this machine joins a cluster by a ${ANSWER[join]}" ;;
        esac
    fi
    say "programs from ${ANSWER[from]}" ''
}

# ---- changing the machine -----------------------------------------------------------------------------------------

# Makes a folder and what is missing above it.
make_folder() {
    local path=$1 above
    [[ ! -d $path ]] || return 0
    above=$(dirname "$path")
    make_folder "$above"
    undo rmdir --ignore-fail-on-non-empty "$path"
    mkdir "$path"
}

# Puts a file at a path of the tree, unless it is there as it is to be.
place() {
    local source=$1 path=$2 mode=$3 target=$ROOT$2
    MANAGED+=("$path")
    if [[ -f $target ]] && cmp -s "$source" "$target" && [[ $(stat -c %a "$target") == "$mode" ]]; then
        return
    fi
    CHANGED+=("$path")
    if $DRY_RUN; then
        say "would write $path"
        return
    fi
    make_folder "$(dirname "$target")"
    if [[ -f $target ]]; then
        cp -p "$target" "$STAGE/undo-${#UNDO[@]}"
        undo mv_back "$STAGE/undo-${#UNDO[@]}" "$target"
    else
        undo rm -f "$target"
    fi
    install -m "$mode" "$source" "$target.wolfdisk-new" || fail "cannot write $target"
    mv "$target.wolfdisk-new" "$target"
    say "wrote $path"
}

# Takes a replaced file back, whole as well.
mv_back() {
    cp -p "$1" "$2.wolfdisk-new"
    mv "$2.wolfdisk-new" "$2"
}

changed() {
    local path
    for path in ${CHANGED[@]+"${CHANGED[@]}"}; do
        # shellcheck disable=SC2053 # a pattern
        [[ $path != $1 ]] || return 0
    done
    return 1
}

place_programs() {
    local name
    for name in "${PROGRAMS[@]}"; do
        place "$(realpath "${CONTROL%/*}/$name")" "$BIN/$name" 755
    done
    if [[ ! -L $ROOT$BIN/wolfdisk ]]; then
        CHANGED+=("$BIN/wolfdisk")
        if $DRY_RUN; then
            say "would write $BIN/wolfdisk"
        else
            say "wrote $BIN/wolfdisk"
            undo rm -f "$ROOT$BIN/wolfdisk"
            ln -sfn wolfdiskctl "$ROOT$BIN/wolfdisk"
        fi
    fi
    MANAGED+=("$BIN/wolfdisk")
}

# Units say where packages put the programs; these are elsewhere.
place_units() {
    local file name
    for file in "$UNITS_FROM"/*; do
        name=${file##*/}
        [[ $name == wolfdisk* && -f $file ]] || continue
        sed "s|/usr/bin/wolfdisk|$BIN/wolfdisk|g" "$file" >"$STAGE/$name"
        case $name in
        *.service | *.target | *.socket | *.slice) place "$STAGE/$name" "$UNITS/$name" 644 ;;
        *sysusers*) place "$STAGE/$name" /etc/sysusers.d/wolfdisk.conf 644 ;;
        *tmpfiles*) place "$STAGE/$name" /etc/tmpfiles.d/wolfdisk.conf 644 ;;
        esac
    done
}

# Who mounts may have a PATH without the folder of the programs.
place_helper() {
    [[ -n $HELPER_FROM ]] || return 0
    sed "s|^exec wolfdiskctl|exec $BIN/wolfdiskctl|" "$HELPER_FROM" >"$STAGE/mount.wolfdisk"
    place "$STAGE/mount.wolfdisk" $HELPER 755
}

# Manual pages and completions.
place_share() {
    [[ -n $SHARE_FROM ]] || return 0
    local path
    while IFS= read -r path; do
        place "$SHARE_FROM/$path" "$SHARE/$path" 644
    done < <(cd "$SHARE_FROM" && find . -type f -printf '%P\n' | sort)
}

place_manifest() {
    printf '%s\n' "${MANAGED[@]}" $MANIFEST | grep -v "^$CONFIG\$" | sort -u >"$STAGE/installed"
    place "$STAGE/installed" $MANIFEST 644
}

install_package() {
    if $DRY_RUN; then
        say "would install $PACKAGE"
        return
    fi
    cmp -s "$CONTROL" /usr/bin/wolfdiskctl && return
    dpkg-query -W wolfdisk >/dev/null 2>&1 || undo dpkg --remove wolfdisk
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$PACKAGE" || fail "cannot install $PACKAGE"
    CHANGED+=(package)
}

make_user() {
    [[ -f $ROOT/etc/sysusers.d/wolfdisk.conf ]] && ! $DRY_RUN || return 0
    systemd-sysusers ${ROOT:+--root="$ROOT"} wolfdisk.conf || fail 'cannot make the user of the daemons'
}

place_config() {
    # It may hold a secret, which the daemons read as their group.
    place "$DRAFT" "$CONFIG" 640
    $DRY_RUN || [[ -n $ROOT ]] || ! getent group wolfdisk >/dev/null || chgrp wolfdisk "$CONFIG"
}

# Makes the data directory that of a member. A token that is refused is asked for again.
become_member() {
    [[ -z $MEMBER ]] || return 0
    CHANGED+=("$DATA")
    if $DRY_RUN; then
        say "would make $DATA"
        return
    fi
    touch "$STAGE/began"
    make_folder "$(dirname "$ROOT$DATA")"
    [[ -d $ROOT$DATA ]] || undo rm -rf "$ROOT$DATA"
    [[ ! -d $ROOT$DATA ]] || undo find "$ROOT$DATA" -mindepth 1 -newer "$STAGE/began" -delete
    until init_data >"$STAGE/told" 2>"$STAGE/said"; do
        WRONG=$(sed 's/^wolfdiskctl: //' "$STAGE/said")
        if [[ ${ANSWER[join]} != token ]] || ! $INTERACTIVE; then fail "$WRONG"; fi
        printf '  %s\n' "$WRONG" >&"$TTY"
        unset 'ANSWER[token]'
        ask token 'Join token (Ctrl-D gives up)' ''
    done
    # What it says to do next is done here.
    sed '/^next /d' "$STAGE/told"
    # From here on the cluster knows this machine; what may fail later does not take that back.
    UNDO=()
    [[ -n $ROOT ]] || ! getent passwd wolfdisk >/dev/null || chown -R wolfdisk:wolfdisk "$DATA"
}

init_data() {
    local command=("$CONTROL" --config "$ROOT$CONFIG" --data-dir "$ROOT$DATA" init)
    case ${ANSWER[join]} in
    token) "${command[@]}" --join - <<<"${ANSWER[token]}" ;;
    key) "${command[@]}" --key-file "${ANSWER[key-file]}" ;;
    found) "${command[@]}" ;;
    esac
}

# ---- running it ---------------------------------------------------------------------------------------------------

enable_node() {
    ! $DRY_RUN || return 0
    systemctl ${ROOT:+--root="$ROOT"} enable --quiet wolfdisk.service || fail 'cannot enable wolfdisk.service'
}

# Starts the node, or what of it changed anew.
run_node() {
    [[ -z $ROOT ]] && ! $DRY_RUN || return 0
    local name
    ! changed '*.service' || systemctl daemon-reload
    stop_what_is_not_wanted
    if ! systemctl is-active --quiet wolfdisk.service || changed $CONFIG || changed '*.service' || changed "$DATA"; then
        systemctl restart --no-block wolfdisk.service || not_running
    else
        for name in "${PROGRAMS[@]:1}"; do
            ! changed "*/$name" || systemctl try-restart "$name*.service" || not_running
        done
    fi
    wait_for_node
}

# A mount that is elsewhere now, or S3 that is off, would start anew with the rest.
stop_what_is_not_wanted() {
    local unit wanted
    systemctl is-active --quiet wolfdisk.service || return 0
    wanted=$("$CONTROL" --config $CONFIG units) || fail 'cannot tell which daemons this machine needs'
    while read -r unit _; do
        grep -qxF "$unit" <<<"$wanted" || systemctl stop "$unit" || fail "$unit does not stop; see: journalctl -u '$unit'"
    done < <(systemctl list-units --plain --no-legend --state=active 'wolfdisk-*.service')
}

wait_for_node() {
    local mount until=$((SECONDS + START_SECONDS))
    mount=$(value_of "$DRAFT" mount.path)
    # Until then it is the old one that answers.
    while [[ -n $(systemctl list-jobs --plain --no-legend 'wolfdisk*') ]]; do
        ((SECONDS < until)) || not_running
        sleep 0.2
    done
    until is_running "$mount"; do
        ! systemctl is-failed --quiet wolfdisk.service || not_running
        ((SECONDS < until)) || not_running
        sleep 0.2
    done
    say "running${mount:+; the files are in $mount}"
}

is_running() {
    local code=0
    "$CONTROL" --config $CONFIG status >/dev/null 2>&1 || code=$?
    # Healthy or degraded.
    ((code == 0 || code == 4)) && { [[ -z $1 ]] || is_mounted "$1"; }
}

not_running() {
    systemctl --no-pager --lines=0 status 'wolfdisk*' >&2 || true
    journalctl --no-pager --quiet --lines=20 --output=cat --unit 'wolfdisk*' >&2 || true
    fail "installed, but it does not run yet; see: journalctl -u 'wolfdisk*'"
}

# ---- taking it away -----------------------------------------------------------------------------------------------

uninstall() {
    local paths=() path packaged=false
    check_root_user
    stop_at_problems
    [[ ! -f $ROOT$CONFIG ]] || DATA=$(value_of "$ROOT$CONFIG" node.data_dir)
    DATA=${DATA:-/var/lib/wolfdisk}
    [[ ! -f $ROOT$MANIFEST ]] || mapfile -t paths <"$ROOT$MANIFEST"
    [[ -n $ROOT ]] || ! dpkg-query -W -f '${Status}' wolfdisk 2>/dev/null | grep -q ' installed$' || packaged=true
    if ((${#paths[@]} == 0)) && ! $packaged && ! { $REMOVE_DATA && [[ -e $ROOT$DATA || -e $ROOT$CONFIG ]]; }; then
        say 'WolfDisk is not installed here: nothing to remove'
        DONE=true
        return
    fi
    ! $REMOVE_DATA || is_data || fail "$DATA is no data directory of WolfDisk; look yourself what is in it"
    say 'This removes:'
    for path in ${paths[@]+"${paths[@]}"}; do say "    $path"; done
    ! $packaged || say '    the package wolfdisk'
    if $REMOVE_DATA; then
        say "    $CONFIG" "    $DATA, with the files that are stored on this machine: THEY ARE LOST"
    else
        say "This stays: $CONFIG, $DATA"
    fi
    if $DRY_RUN; then return; fi
    agreed 'Remove it?' || fail 'nothing was removed'
    if $REMOVE_DATA && $INTERACTIVE; then
        agreed "Remove $DATA for good?" || fail 'nothing was removed'
    fi
    stop_node
    ! $packaged || DEBIAN_FRONTEND=noninteractive apt-get remove -y -q wolfdisk
    for path in ${paths[@]+"${paths[@]}"}; do rm -f "$ROOT$path"; done
    rmdir --ignore-fail-on-non-empty "$ROOT$(dirname $MANIFEST)" 2>/dev/null || true
    [[ -n $ROOT ]] || systemctl daemon-reload
    if $REMOVE_DATA; then
        rm -f "$ROOT$CONFIG"
        remove_data
        rmdir --ignore-fail-on-non-empty "$ROOT$(dirname $CONFIG)" 2>/dev/null || true
    fi
    DONE=true
    say removed
}

# Nothing else is emptied, whatever a configuration says.
is_data() { [[ ! -d $ROOT$DATA || -f $ROOT$DATA/identity.toml || -f $ROOT$DATA/member.toml ]]; }

# Removes the data directory, which may be a disk of its own.
remove_data() {
    local data=$ROOT$DATA
    [[ -d $data ]] || return 0
    find "$data" -mindepth 1 -delete
    is_mounted "$data" || rmdir "$data"
}

# What is mounted is not pulled away from below who uses it.
stop_node() {
    local mount=''
    [[ ! -f $ROOT$CONFIG ]] || mount=$(value_of "$ROOT$CONFIG" mount.path)
    if [[ -f $ROOT$UNITS/wolfdisk.service || -z $ROOT ]]; then
        systemctl ${ROOT:+--root="$ROOT"} disable --quiet wolfdisk.service || true
    fi
    [[ -n $ROOT ]] || systemctl stop wolfdisk.service 'wolfdisk-*.service' || true
    # One that was left behind dead.
    [[ -z $mount ]] || ! is_mounted "$ROOT$mount" || umount "$ROOT$mount" 2>/dev/null || true
    if [[ -n $mount ]] && is_mounted "$ROOT$mount"; then
        fail "$mount is in use and still mounted; end what uses it (fuser -vm $mount) and run this again"
    fi
}

# ---- all together -------------------------------------------------------------------------------------------------

main() {
    read_arguments "$@"
    exec {ERRORS}>&2
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    open_terminal
    exec {lock}<"${ROOT:-/}"
    flock -n "$lock" || fail 'another setup.sh is at work here; wait for it'
    if $UNINSTALL; then
        uninstall
        return
    fi
    check_machine
    STAGE=$(mktemp -d)
    choose_source
    begin_draft
    ask_all
    check_answers
    show_plan
    if ! $DRY_RUN; then agreed 'Write this?' || fail 'nothing was changed'; fi
    if [[ -n $PACKAGE ]]; then install_package; fi
    if ! $INSTALLED; then
        place_programs
        place_units
        place_helper
        place_share
        place_manifest
    fi
    make_user
    place_config
    become_member
    enable_node
    DONE=true
    ((${#CHANGED[@]} > 0)) || say 'nothing to change'
    if ((${#PROBLEMS[@]} > 0)); then
        printf 'setup.sh: %s\n' "${PROBLEMS[@]}" >&2
        exit 1
    fi
    run_node
}

# Nothing that runs may read what is left of a script that comes through a pipe.
{ main "$@" </dev/null; exit; }
