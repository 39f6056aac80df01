//! What nobody can see through a mount ends too: uploads in progress by the rules of their bucket, and what was kept of a
//! bucket that a mount removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_client::{KeyEntry, ListKeys, Reach, SetAttr, SetTime, Volume, VolumeConfig};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::paths::Paths;
use wolfdisk_common::time::Timestamp;
use wolfdisk_tests::{Node, node_with_s3, wait_until, with_client};

/// Makes two buckets with rules; `old` has an upload with a part below `a/` and one elsewhere.
const PREPARE: &str = r#"
rules='{"Rules":[{"ID":"one","Status":"Enabled","Filter":{"Prefix":"a/"},
        "AbortIncompleteMultipartUpload":{"DaysAfterInitiation":1}}]}'
for bucket in old-uploads removed; do
    aws s3api create-bucket --bucket $bucket > /dev/null
    aws s3api put-bucket-lifecycle-configuration --bucket $bucket --lifecycle-configuration "$rules"
    aws s3api put-bucket-tagging --bucket $bucket --tagging 'TagSet=[{Key=a,Value=b}]'
done
echo part > part
for key in a/b other; do
    id=$(aws s3api create-multipart-upload --bucket old-uploads --key $key --query UploadId --output text)
    aws s3api upload-part --bucket old-uploads --key $key --upload-id $id --part-number 1 --body part > /dev/null
done
"#;
const LEFT: &str =
    r"aws s3api list-multipart-uploads --bucket old-uploads --query Uploads[].Key --output text";

fn system(node: &Node) -> Arc<Volume> {
    let reach = Reach::local(&Paths::new(node.data().to_owned()));
    Volume::connect(VolumeConfig::new(reach, "s3", "test")).expect("connected")
}

/// Keys in the gateways' own tree, with their files.
fn kept(volume: &Volume, prefix: &'static str) -> BTreeSet<(String, Ino)> {
    let request = ListKeys {
        prefix: Bytes::from_static(prefix.as_bytes()),
        max: 1000,
        ..ListKeys::default()
    };
    let page = volume
        .list_keys(Ino::SYSTEM_ROOT, &request)
        .expect("a page");
    let entries = page.entries.into_iter().filter_map(|entry| match entry {
        KeyEntry::Object { key, object } => {
            let key = String::from_utf8(key.to_vec()).expect("text");
            Some((key, object.attr.ino))
        }
        KeyEntry::Prefix(_) => None,
    });
    entries.collect()
}

#[test]
fn uploads_end_by_rules_and_records_with_their_bucket() {
    let node = node_with_s3();
    with_client(&node, PREPARE);
    let volume = system(&node);
    assert_eq!(kept(&volume, "s3/uploads/").len(), 2);
    assert_eq!(kept(&volume, "s3/parts/").len(), 2);
    assert_eq!(kept(&volume, "s3/buckets/").len(), 4);
    for (_, upload) in kept(&volume, "s3/uploads/") {
        let (attr, _) = volume.getattr(upload).expect("there");
        let then = Timestamp {
            seconds: attr.mtime.seconds - 3 * 24 * 60 * 60,
            nanos: 0,
        };
        let change = SetAttr {
            mtime: Some(SetTime::At(then)),
            ..SetAttr::default()
        };
        match volume.setattr(upload, change) {
            // The first to become old may be gone already.
            Ok(_) | Err(wolfdisk_client::Error::Refused(libc::ENOENT)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    wait_until("an old upload ends", || {
        kept(&volume, "s3/uploads/").len() == 1
    });
    wait_until("its parts end", || kept(&volume, "s3/parts/").len() == 1);
    assert_eq!(with_client(&node, LEFT).trim(), "other");
    std::fs::remove_dir(node.path("removed")).expect("removed");
    wait_until("its records go", || kept(&volume, "s3/buckets/").len() == 2);
    with_client(&node, "aws s3api get-bucket-tagging --bucket old-uploads");
    volume.shutdown().expect("an orderly end");
    node.must_be_whole();
}
