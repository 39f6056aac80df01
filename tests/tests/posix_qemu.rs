//! Disk images in the mount: what QEMU writes in each of its ways is what is read back, images are sound,
//! conversions are equal, and an image in use is locked.

use wolfdisk_tests::{Background, Daemon, Node, is_long_run, sh, wait_until};

/// The ways in which QEMU reaches a file: through the page cache, around it, with each of its engines.
const WAYS: &[&str] = &[
    "-t writeback",
    "-t none",
    "-t none -i native",
    "-t none -i io_uring",
    "-t directsync -i threads",
];

/// Fills the image `$image` of format `$format`, reads it back and checks it.
const FILL: &str = r#"
qemu-img create -q -f $format $image 256M
qemu-io -f $format $way -d unmap -c 'write -P 1 0 1M' -c 'write -P 2 64M 3M' -c 'aio_write -P 3 100M 5M' \
    -c 'aio_write -P 4 130M 64k' -c 'aio_flush' -c 'write -z 101M 1M' -c 'discard 102M 1M' \
    -c 'write -P 9 200M 512' -c flush $image > said
reads="-c 'read -P 1 0 1M' -c 'read -P 2 64M 3M' -c 'read -P 3 100M 1M' -c 'read -P 0 101M 2M' \
    -c 'read -P 3 103M 2M' -c 'read -P 4 130M 64k' -c 'read -P 9 200M 512' -c 'read -P 0 110M 1M'"
eval qemu-io -f $format $reads $image >> said
eval qemu-io -f $format $way $reads $image >> said
if grep -iE 'fail|error|verif' said; then exit 1; fi
test $format = raw || qemu-img check -q $image
test $(du -k $image | cut -f1) -lt 16384
"#;

#[test]
fn images_hold_what_was_written_in_every_way() {
    let node = Node::start();
    for format in ["raw", "qcow2"] {
        for way in WAYS {
            let setting = format!("format={format} way='{way}' image=image.$format");
            sh(node.mount(), &format!("{setting}\n{FILL}"));
        }
    }
    // The last of each kind hold the same, also after a restart.
    let mut node = node;
    node.restart();
    sh(
        node.mount(),
        "qemu-img compare -q -f raw -F qcow2 image.raw image.qcow2",
    );
}

#[test]
fn conversions_snapshots_and_overlays_are_sound() {
    let node = Node::start();
    sh(
        node.mount(),
        &format!("format=raw way='-t writeback' image=raw\n{FILL}"),
    );
    sh(
        node.mount(),
        r#"
same() { qemu-img compare -q -f $1 -F raw $2 raw; }
qemu-img convert -f raw -O qcow2 -t none -T none raw direct.qcow2; same qcow2 direct.qcow2
qemu-img convert -f raw -O qcow2 raw buffered.qcow2; same qcow2 buffered.qcow2
qemu-img convert -c -f raw -O qcow2 raw small.qcow2; same qcow2 small.qcow2
qemu-img convert -f qcow2 -O raw -t none direct.qcow2 back; same raw back; cmp raw back
for image in direct.qcow2 buffered.qcow2 small.qcow2; do qemu-img check -q $image; done
test $(du -k back | cut -f1) -lt 16384

image=direct.qcow2
qemu-img snapshot -c one $image
qemu-io -f qcow2 -t none -c 'write -P 77 0 8M' $image > said
if same qcow2 $image; then echo 'the change is lost'; exit 1; fi
qemu-img snapshot -a one $image; same qcow2 $image
qemu-img snapshot -d one $image; qemu-img check -q $image

qemu-img create -q -f qcow2 -b buffered.qcow2 -F qcow2 overlay.qcow2
qemu-io -f qcow2 -c 'write -P 5 1M 1M' overlay.qcow2 > said
same qcow2 buffered.qcow2
qemu-img commit -q overlay.qcow2; qemu-img check -q buffered.qcow2
qemu-io -f qcow2 -c 'read -P 5 1M 1M' -c 'read -P 2 64M 3M' buffered.qcow2 > said
if grep -iE 'fail|error|verif' said; then exit 1; fi

qemu-img create -q -f raw -o preallocation=full full 64M; qemu-img resize -q -f raw --shrink full 32M
test $(stat -c %s full) = 33554432
qemu-img create -q -f qcow2 -o preallocation=falloc falloc.qcow2 64M
qemu-img create -q -f qcow2 -o preallocation=metadata,lazy_refcounts=on lazy.qcow2 64M
qemu-img resize -q lazy.qcow2 +64M
for engine in native io_uring threads; do
    qemu-img bench -q -c 500 -d 16 -w -t none -i $engine -f qcow2 lazy.qcow2
done
qemu-img check -q falloc.qcow2; qemu-img check -q lazy.qcow2
"#,
    );
}

#[test]
fn an_image_in_use_is_locked_and_free_afterwards() {
    let node = Node::start();
    let second = node.second_mount();
    sh(node.mount(), "qemu-img create -q -f qcow2 image 16M");
    let mut hold = std::process::Command::new("stdbuf");
    hold.args(["-oL", "qemu-io"]);
    hold.args([
        "-f",
        "qcow2",
        "-c",
        "write -P 1 0 64k",
        "-c",
        "sleep 600000",
    ])
    .arg(node.path("image"));
    let holder = Background::start(&mut hold, "holder", node.scratch());
    wait_until("the holder has the image", || {
        holder.said().contains("wrote")
    });
    let refused =
        "if qemu-io -f qcow2 -c 'write 0 512' image > said 2>&1; then echo taken; exit 1; fi
         grep -q lock said";
    sh(node.mount(), refused);
    sh(second.mount(), refused);
    drop(holder);
    for _ in 0..20 {
        sh(
            node.mount(),
            "qemu-io -f qcow2 -c 'write -P 2 0 64k' image > said && qemu-img check -q image",
        );
    }
}

#[test]
fn an_image_is_filled_while_daemons_are_killed() {
    let node = Node::start();
    let megabytes = if is_long_run() { 4096 } else { 256 };
    let mut fill = std::process::Command::new("bash");
    fill.args(["-euc", &format!("
        qemu-img create -q -f qcow2 image {megabytes}M
        for at in $(seq 0 4 $(({megabytes} - 4))); do
            qemu-io -f qcow2 -t none -c \"aio_write -P $((at / 4 % 255 + 1)) ${{at}}M 4M\" -c aio_flush -c flush image > said
            echo wrote
        done")])
        .current_dir(node.mount());
    let filler = Background::start(&mut fill, "filler", node.scratch());
    for daemon in [Daemon::Meta, Daemon::Chunkd, Daemon::Meta] {
        let before = filler.said().lines().count();
        wait_until("the image is written", || {
            filler.said().lines().count() >= (before + 4).min(megabytes / 4)
        });
        node.kill(daemon);
    }
    filler.succeed(wolfdisk_tests::STEP_DEADLINE);
    sh(
        node.mount(),
        &format!(
            "qemu-img check -q image
             for at in $(seq 0 4 $(({megabytes} - 4))); do echo \"read -P $((at / 4 % 255 + 1)) ${{at}}M 4M\"; done |
                 qemu-io -f qcow2 image > said
             if grep -iE 'fail|error|verif' said; then exit 1; fi
             test $(grep -c 'read 4194304/4194304' said) = $(({megabytes} / 4))"
        ),
    );
}
