# Starts a Garage of one node; sourced by s3.sh, which ends it by its process id.
#
# garage_start DIR PORT DURABLE   it answers S3 at PORT when this returns; DURABLE: whether its answers wait for the disk
# garage_keys DIR                 an access key that may make buckets, as export lines

garage_start() {
    local dir=$1 port=$2 durable=$3
    mkdir -p "$dir"/{meta,data}
    cat > "$dir/garage.toml" <<CFG
metadata_dir = "$dir/meta"
data_dir = "$dir/data"
db_engine = "lmdb"
metadata_fsync = $durable
data_fsync = $durable
compression_level = "none"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$((port + 1))"
rpc_public_addr = "127.0.0.1:$((port + 1))"
rpc_secret = "$(printf '%064d' 7)"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$port"
CFG
    RUST_LOG=warn "$GARAGE" -c "$dir/garage.toml" server > "$dir/log" 2>&1 &
    started+=($!)
    local node=
    for _ in $(seq 100); do
        node=$("$GARAGE" -c "$dir/garage.toml" node id -q 2>/dev/null) \
            && "$GARAGE" -c "$dir/garage.toml" status > /dev/null 2>&1 && break
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    { "$GARAGE" -c "$dir/garage.toml" layout assign -z here -c 100G "${node%%@*}" \
        && "$GARAGE" -c "$dir/garage.toml" layout apply --version 1; } > "$dir/layout" 2>&1 \
        || { cat "$dir/log" "$dir/layout" >&2; return 1; }
}

garage_keys() {
    local said
    said=$("$GARAGE" -c "$1/garage.toml" key create bench 2>> "$1/log")
    "$GARAGE" -c "$1/garage.toml" key allow --create-bucket bench >> "$1/log" 2>&1
    sed -n 's/^Key ID: *\([^ ]*\).*/export AWS_ACCESS_KEY_ID=\1/p; s/^Secret key: *\([^ ]*\).*/export AWS_SECRET_ACCESS_KEY=\1/p' \
        <<< "$said"
}
