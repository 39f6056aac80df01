//! Clients that people use, with nothing set but address and key: what they store is what the mount shows, byte by byte,
//! and what they fetch is what was stored.

use wolfdisk_tests::{Node, node_with_s3, suite, with_client};

/// Makes `tree`: files of many sizes, names with spaces and other letters, and 2,000 small ones.
const TREE: &str = r#"
python3 - tree <<'EOF'
import os, pathlib, random, sys
root, draw = pathlib.Path(sys.argv[1]), random.Random(5)
for number in range(2000):
    file = root / f"many/{number % 40}/{number}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(draw.randbytes(draw.randrange(0, 9000)))
for name, size in (("a b/ü.txt", 10), ("empty", 0), ("large", 21_000_003), ("page", 4096), ("a+b/c&d=e", 70_000)):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(draw.randbytes(size))
EOF
"#;

fn with_tree(script: &str) -> Node {
    let node = node_with_s3();
    with_client(&node, &format!("{TREE}\n{script}"));
    node.must_be_whole();
    node
}

/// What people do with `aws`: which one, the lines before say.
const AWS: &str = r#"
aws s3 mb s3://aws-bucket
aws s3 sync --only-show-errors tree s3://aws-bucket/tree
diff -r tree "$MOUNT/aws-bucket/tree"
aws s3 sync --only-show-errors s3://aws-bucket/tree back
diff -r tree back
test -z "$(aws s3 sync tree s3://aws-bucket/tree)"
head -c 200000000 /dev/urandom > big
aws s3 cp --only-show-errors big s3://aws-bucket/big
cmp big "$MOUNT/aws-bucket/big"
aws s3 cp --only-show-errors s3://aws-bucket/big s3://aws-bucket/copy
aws s3 cp --only-show-errors s3://aws-bucket/copy - | cmp - big
curl -sSf "$(aws s3 presign s3://aws-bucket/tree/page)" | cmp - tree/page
aws s3 mv --only-show-errors s3://aws-bucket/copy s3://aws-bucket/moved
test ! -e "$MOUNT/aws-bucket/copy"
aws s3 ls --recursive s3://aws-bucket/tree | wc -l | grep -qx 2005

api() { local name=$1; shift; aws s3api "$name" --bucket aws-bucket --output text "$@"; }
api put-object --key api/page --body tree/page --content-type text/x-page --metadata colour=blue
cmp tree/page "$MOUNT/aws-bucket/api/page"
api head-object --key api/page --query '[ContentLength,ContentType,Metadata.colour]' | grep -qx $'4096\ttext/x-page\tblue'
api get-object --key api/page --range bytes=100-199 part
test "$(stat -c %s part)" = 100
cmp -n 100 -i 100:0 tree/page part
api copy-object --copy-source aws-bucket/api/page --key api/copy
cmp tree/page "$MOUNT/aws-bucket/api/copy"
upload=$(api create-multipart-upload --key api/large --query UploadId)
split -b 8000000 -d -a 1 tree/large piece-
for piece in 0 1 2; do
    api upload-part --key api/large --upload-id "$upload" --part-number $((piece + 1)) --body piece-$piece
done
api list-parts --key api/large --upload-id "$upload" --output json \
    --query '{Parts: Parts[].{ETag: ETag, PartNumber: PartNumber}}' > parts
api complete-multipart-upload --key api/large --upload-id "$upload" --multipart-upload file://parts
cmp tree/large "$MOUNT/aws-bucket/api/large"
upload=$(api create-multipart-upload --key api/never --query UploadId)
api abort-multipart-upload --key api/never --upload-id "$upload"
api put-object-tagging --key api/page --tagging 'TagSet=[{Key=a,Value=b}]'
api get-object-tagging --key api/page --query 'TagSet[].[Key,Value]' | grep -qx $'a\tb'
api list-objects-v2 --prefix api/ --query 'Contents[].[Key]' | diff - <(printf 'api/%s\n' copy large page)
api delete-objects --delete 'Objects=[{Key=api/page},{Key=api/copy}]' | grep -c DELETED | grep -qx 2
ls "$MOUNT/aws-bucket/api" | grep -qx large

aws s3 rm --only-show-errors --recursive s3://aws-bucket
aws s3 rb s3://aws-bucket
test ! -e "$MOUNT/aws-bucket"
"#;

#[test]
fn the_newest_aws_copies_synchronises_links_and_removes() {
    // With us-east-1 it would sign links by version 2.
    with_tree(&format!(
        "aws configure set default.s3.signature_version s3v4\n{AWS}"
    ));
}

#[test]
fn the_aws_of_the_system_copies_synchronises_links_and_removes() {
    // That of Debian 12 does not know the variable that names the endpoint.
    with_tree(&format!(
        "aws() {{ /usr/bin/aws --endpoint-url \"$URL\" \"$@\"; }}\n{AWS}"
    ));
}

#[test]
fn rclone_synchronises_and_finds_no_difference() {
    with_tree(
        r#"
        export RCLONE_CONFIG_WD_TYPE=s3 RCLONE_CONFIG_WD_PROVIDER=Other RCLONE_CONFIG_WD_ENV_AUTH=true
        export RCLONE_CONFIG_WD_ENDPOINT="$URL"
        rclone mkdir wd:rclone
        rclone sync tree wd:rclone/tree
        diff -r tree "$MOUNT/rclone/tree"
        rclone check tree wd:rclone/tree
        rclone check --download tree wd:rclone/tree
        echo changed > "$MOUNT/rclone/tree/page"
        ! rclone check tree wd:rclone/tree
        rclone sync tree wd:rclone/tree
        rclone sync wd:rclone/tree back
        diff -r tree back
        rclone purge wd:rclone
        "#,
    );
}

#[test]
fn s3cmd_puts_gets_and_lists() {
    with_tree(
        r#"
        s3() { s3cmd --no-ssl --no-progress --host="$HOST" --host-bucket="$HOST" --access_key="$AWS_ACCESS_KEY_ID" \
               --secret_key="$AWS_SECRET_ACCESS_KEY" --region="$AWS_DEFAULT_REGION" "$@"; }
        s3 mb s3://s3cmd-bucket
        s3 sync tree/ s3://s3cmd-bucket/tree/
        diff -r tree "$MOUNT/s3cmd-bucket/tree"
        s3 sync s3://s3cmd-bucket/tree/ back/
        diff -r tree back
        s3 put --multipart-chunk-size-mb=5 tree/large s3://s3cmd-bucket/large
        cmp tree/large "$MOUNT/s3cmd-bucket/large"
        s3 cp s3://s3cmd-bucket/large s3://s3cmd-bucket/copy
        s3 info s3://s3cmd-bucket/copy > info
        grep -q 21000003 info
        s3 del --recursive --force s3://s3cmd-bucket
        s3 rb s3://s3cmd-bucket
        "#,
    );
}

#[test]
fn restic_backs_up_checks_every_byte_and_restores() {
    with_tree(
        r#"
        export RESTIC_REPOSITORY="s3:$URL/restic" RESTIC_PASSWORD=for-a-test
        restic -q init
        restic -q backup tree
        restic -q check --read-data
        echo more > tree/more
        restic -q backup tree
        restic -q restore latest --target back
        diff -r tree back/tree
        restic -q forget --keep-last 1 --prune
        restic -q check --read-data
        "#,
    );
}

#[test]
fn s3fs_mounts_a_bucket() {
    with_tree(
        r#"
        mkdir "$MOUNT/s3fs" mounted
        (umask 077; echo "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" > key)
        s3fs s3fs mounted -o passwd_file="$PWD/key",url="$URL",use_path_request_style
        trap 'fusermount3 -u mounted' EXIT
        cp -r tree/many/1 tree/large tree/page mounted/
        diff -r tree/many/1 "$MOUNT/s3fs/1"
        for name in large page; do cmp "tree/$name" "$MOUNT/s3fs/$name"; done
        echo appended >> mounted/page
        cat tree/page <(echo appended) | cmp - "$MOUNT/s3fs/page"
        mv mounted/large mounted/renamed
        cmp tree/large "$MOUNT/s3fs/renamed"
        rm -r mounted/1
        test ! -e "$MOUNT/s3fs/1"
        "#,
    );
}

#[test]
fn the_sdk_for_javascript_and_the_client_of_minio_get_what_they_put() {
    let node = node_with_s3();
    with_client(
        &node,
        &format!("node {}", suite("s3/clients.cjs").display()),
    );
    node.must_be_whole();
}
