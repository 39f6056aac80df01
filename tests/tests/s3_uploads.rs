//! Uploads in parts that nobody ends: what is aborted, and what is not.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_client::{KeyEntry, ListKeys, Reach, Volume, VolumeConfig};
use wolfdisk_common::paths::Paths;
use wolfdisk_tests::{Gateway, Node, run, wait_until};

/// How long uploads may rest, where they are to be aborted.
const REST_SECONDS: u64 = 3;
/// Smallest part but the last.
const PART_BYTES: usize = 5 << 20;

/// A node, and what its gateways keep that no mount shows.
struct Kept {
    volume: Arc<Volume>,
    node: Node,
}

impl Kept {
    fn start() -> Kept {
        let node = Node::start();
        let reach = Reach::local(&Paths::new(node.data().to_owned()));
        let config = VolumeConfig::new(reach, "s3", "test");
        let volume = Volume::connect(config).expect("connected");
        Kept { volume, node }
    }

    /// A gateway whose uploads may rest for so many seconds.
    fn gateway(&self, seconds: u64) -> Gateway {
        Gateway::start(&self.node, &format!("abandoned_upload_after_s = {seconds}"))
    }

    /// What there is of uploads and parts.
    fn keys(&self) -> Vec<String> {
        let request = ListKeys {
            prefix: Bytes::from_static(b"s3/"),
            max: 1000,
            ..ListKeys::default()
        };
        let root = self.volume.system_root().expect("there is one");
        let page = self.volume.list_keys(root, &request).expect("listed");
        assert!(!page.more);
        let key = |entry| match entry {
            KeyEntry::Object { key, .. } | KeyEntry::Prefix(key) => key,
        };
        let text = |key: Bytes| String::from_utf8(key.to_vec()).expect("text");
        page.entries.into_iter().map(key).map(text).collect()
    }

    fn keys_of(&self, upload: &str) -> usize {
        let keys = self.keys();
        keys.iter().filter(|key| key.contains(upload)).count()
    }

    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.node.scratch().path().join("body");
        std::fs::write(&path, content).expect("a file");
        path
    }

    fn end(self, gateways: impl IntoIterator<Item = Gateway>) {
        gateways.into_iter().for_each(Gateway::stop);
        self.volume.shutdown().expect("an orderly end");
        self.node.must_be_whole();
    }
}

/// What curl is told; with the status behind it.
fn curl(arguments: &[&str]) -> String {
    let outcome = run(Command::new("curl")
        .args(["-sS", "-w", " %{http_code}"])
        .args(arguments));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split(before).nth(1);
    rest.and_then(|rest| rest.split(after).next())
        .unwrap_or_else(|| panic!("{before} in {text}"))
}

fn make_bucket(gateway: &Gateway, name: &str) -> String {
    let bucket = format!("{}/{name}", gateway.address());
    assert_eq!(curl(&["-X", "PUT", &bucket]), " 200");
    bucket
}

/// Begins an upload; its name.
fn begin(key: &str) -> String {
    let answer = curl(&["-X", "POST", &format!("{key}?uploads")]);
    between(&answer, "<UploadId>", "</UploadId>").to_owned()
}

/// Puts a part; what came back.
fn put(kept: &Kept, key: &str, upload: &str, number: usize, content: &[u8]) -> String {
    let body = kept.file(content);
    let place = format!("{key}?partNumber={number}&uploadId={upload}");
    curl(&["-X", "PUT", "-T", &body.display().to_string(), &place])
}

fn complete(kept: &Kept, key: &str, upload: &str, parts: usize) -> String {
    let part = |number| format!("<Part><PartNumber>{number}</PartNumber></Part>");
    let parts: String = (1..=parts).map(part).collect();
    let text = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let body = format!("@{}", kept.file(text.as_bytes()).display());
    let place = format!("{key}?uploadId={upload}");
    curl(&["-X", "POST", "--data-binary", &body, &place])
}

#[test]
fn an_upload_that_nobody_goes_on_with_is_aborted_and_one_that_gets_parts_is_not() {
    let kept = Kept::start();
    // Two of them sweep.
    let gateways = [kept.gateway(REST_SECONDS), kept.gateway(REST_SECONDS)];
    let bucket = make_bucket(&gateways[0], "bucket");
    let (left, used) = (format!("{bucket}/left"), format!("{bucket}/used"));
    let (abandoned, alive) = (begin(&left), begin(&used));
    assert!(put(&kept, &left, &abandoned, 1, b"part").ends_with(" 200"));
    let content = vec![7; PART_BYTES];
    let (start, mut parts) = (Instant::now(), 0);
    // It gets parts for longer than it may rest, and until the other is gone.
    while start.elapsed() < Duration::from_secs(4 * REST_SECONDS) || kept.keys_of(&abandoned) > 0 {
        assert!(parts < 1000, "{:?} is not aborted", kept.keys());
        parts += 1;
        let answer = put(&kept, &used, &alive, parts, &content);
        assert!(answer.ends_with(" 200"), "part {parts}: {answer}");
    }
    let refused = put(&kept, &left, &abandoned, 2, b"part");
    assert!(refused.contains("NoSuchUpload"), "{refused}");
    assert_eq!(kept.keys_of(&abandoned), 0);
    let done = complete(&kept, &used, &alive, parts);
    assert!(done.contains("<ETag>"), "{done}");
    let whole = std::fs::read(kept.node.path("bucket/used")).expect("a file");
    assert_eq!(whole.len(), parts * PART_BYTES);
    assert!(whole.iter().all(|byte| *byte == 7));
    wait_until("its parts are removed", || kept.keys().is_empty());
    kept.end(gateways);
}

/// Whatever the sweep does at the same time, an upload is there with all that was acknowledged, or it is gone and says so.
#[test]
fn a_part_that_was_acknowledged_is_there_when_the_sweep_comes_at_any_moment() {
    let kept = Kept::start();
    // Each upload rests for as long as it may, or nearly, when it gets its next part.
    let gateway = kept.gateway(1);
    let bucket = make_bucket(&gateway, "bucket");
    let (mut went_on, mut ended) = (0, 0);
    for round in 0..24_u64 {
        let key = format!("{bucket}/{round}");
        let upload = begin(&key);
        assert!(put(&kept, &key, &upload, 1, b"first").ends_with(" 200"));
        let touched = Instant::now();
        let moment = Duration::from_millis(900 + round * 50);
        wait_until("it has rested", || touched.elapsed() >= moment);
        let answer = put(&kept, &key, &upload, 1, b"other");
        if answer.ends_with(" 200") {
            went_on += 1;
            let done = complete(&kept, &key, &upload, 1);
            assert!(done.contains("<ETag>"), "{done}");
            let content = std::fs::read(kept.node.path(format!("bucket/{round}")));
            assert_eq!(content.expect("a file"), b"other");
        } else {
            ended += 1;
            assert!(answer.contains("NoSuchUpload"), "{answer}");
        }
    }
    println!("{went_on} went on, {ended} had ended");
    assert!(went_on > 0 && ended > 0);
    wait_until("nothing is left of any", || kept.keys().is_empty());
    kept.end([gateway]);
}

#[test]
fn uploads_of_a_bucket_that_a_mount_removed_go_and_others_stay() {
    let kept = Kept::start();
    let gateway = kept.gateway(604_800);
    let (gone, stays) = (
        make_bucket(&gateway, "gone"),
        make_bucket(&gateway, "stays"),
    );
    let (first, second) = (format!("{gone}/a/key"), format!("{stays}/key"));
    let (lost, alive) = (begin(&first), begin(&second));
    for (key, upload) in [(&first, &lost), (&second, &alive)] {
        assert!(put(&kept, key, upload, 1, b"part").ends_with(" 200"));
    }
    std::fs::remove_dir_all(kept.node.path("gone")).expect("removed");
    std::fs::create_dir(kept.node.path("gone")).expect("another of that name");
    // A sweep is the first thing that a gateway does.
    gateway.stop();
    let gateway = kept.gateway(604_800);
    wait_until("the uploads of the bucket are gone", || {
        kept.keys_of(&lost) == 0
    });
    assert_eq!(kept.keys_of(&alive), 2);
    let key = format!("{}/stays/key", gateway.address());
    let done = complete(&kept, &key, &alive, 1);
    assert!(done.contains("<ETag>"), "{done}");
    kept.end([gateway]);
}

#[test]
fn parts_that_a_gateway_left_are_removed() {
    let kept = Kept::start();
    let gateway = kept.gateway(604_800);
    let key = format!("{}/key", make_bucket(&gateway, "bucket"));
    let upload = begin(&key);
    assert!(put(&kept, &key, &upload, 1, b"part").ends_with(" 200"));
    gateway.stop();
    // As if it had died between the two.
    let root = kept.volume.system_root().expect("there is one");
    let keys = kept.keys();
    let record = keys.iter().find(|key| key.starts_with("s3/uploads/"));
    let record = record.expect("the upload").as_bytes();
    let record = wolfdisk_client::ObjectKey::parse(record).expect("a key");
    let removed = kept
        .volume
        .remove_object(root, &record, wolfdisk_client::Expected::Anything);
    assert!(removed.expect("removed"));
    assert_eq!(kept.keys_of(&upload), 1);
    let gateway = kept.gateway(604_800);
    wait_until("the part is removed", || kept.keys().is_empty());
    kept.end([gateway]);
}
