//! The image for containers: every byte is what its digest says, and a root that holds nothing else runs a node.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wolfdisk_tests::{Cell, Scratch, descendants, is_alive, program, sh, signal, wait_until};

fn json(file: &Path) -> Value {
    let text = fs::read_to_string(file).expect("a file");
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{}: {error}: {text}", file.display()))
}

/// The file of the layout that a descriptor names.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let sum = digest.strip_prefix("sha256:").expect("SHA-256");
    let file = layout.join("blobs/sha256").join(sum);
    let found = sh(layout, &format!("sha256sum <{}", file.display()));
    assert_eq!(found.split(' ').next(), Some(sum));
    let size_bytes = fs::metadata(&file).expect("a file").len();
    assert_eq!(descriptor["size"].as_u64(), Some(size_bytes));
    file
}

fn words(value: &Value) -> Vec<&str> {
    let words = value.as_array().expect("a list").iter();
    words.map(|word| word.as_str().expect("a word")).collect()
}

/// Unpacks the image into `root`; gives the command that it is made for.
fn unpack(scratch: &Scratch, root: &Path) -> String {
    let layout = scratch.directory("layout");
    let image = program("dist/wolfdisk-oci.tar");
    sh(&layout, &format!("tar -xf {}", image.display()));
    assert_eq!(
        json(&layout.join("oci-layout"))["imageLayoutVersion"],
        "1.0.0"
    );
    let manifest = blob(&layout, &json(&layout.join("index.json"))["manifests"][0]);
    let manifest = json(&manifest);
    let config = json(&blob(&layout, &manifest["config"]));
    let layer = blob(&layout, &manifest["layers"][0]);
    let plain = sh(&layout, &format!("zcat <{} | sha256sum", layer.display()));
    let expected = format!("sha256:{}", plain.split(' ').next().expect("a sum"));
    assert_eq!(words(&config["rootfs"]["diff_ids"]), [expected]);
    let held = fs::read_dir(layout.join("blobs/sha256"))
        .expect("a folder")
        .count();
    assert_eq!(held, 3, "nothing that is not named");
    sh(root, &format!("tar -xzf {}", layer.display()));
    [
        words(&config["config"]["Entrypoint"]),
        words(&config["config"]["Cmd"]),
    ]
    .concat()
    .join(" ")
}

#[test]
fn the_image_is_whole_and_runs_a_node() {
    let scratch = Scratch::new();
    let root = scratch.directory("root");
    let command = unpack(&scratch, &root);
    let top: BTreeSet<String> = wolfdisk_tests::names(&root).into_iter().collect();
    assert!(!top.contains("bin"), "no shell: {top:?}");
    let script = format!(
        "mount --rbind /dev dev; mount -t proc proc proc; exec chroot {} {command}",
        root.display()
    );
    let cell = Cell::start(&script, &root, "container", &scratch);
    wait_until("the node is ready", || {
        cell.said().contains("ready mount=/mnt/wolfdisk s3=")
    });
    let inside = descendants(std::process::id());
    let (node, _) = inside
        .iter()
        .find(|(_, name)| name == "wolfdiskctl")
        .expect("the node");
    let mount = PathBuf::from(format!("/proc/{node}/root/mnt/wolfdisk"));
    fs::write(mount.join("hello"), "hello\n").expect("written");
    assert_eq!(
        fs::read_to_string(mount.join("hello")).expect("read"),
        "hello\n"
    );
    let answer = cell.sh(
        &root,
        "exec 3<>/dev/tcp/127.0.0.1/9878; printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3; head -n 1 <&3",
    );
    assert!(answer.contains(" 403 "), "others need a key: {answer}");
    signal(*node, nix::sys::signal::Signal::SIGTERM);
    wait_until("the node stops", || !is_alive(*node));
    assert!(cell.said().contains("stopping"), "{}", cell.said());
}
