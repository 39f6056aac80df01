//! The package on a Debian of its own: installed, started, restarted, upgraded, stopped and purged as its administrator
//! does it.

use std::process::Stdio;

use wolfdisk_tests::{System, program, wait_until};

/// Appends a line every 10 ms to a file that it keeps open, and ends with an error at the first that is not taken.
const WRITER: &str = "exec >>/mnt/wolfdisk/written; n=0; while [ ! -e /run/enough ]; do n=$((n+1)); echo $n; sleep 0.01; done";
/// The mount as the kernel numbers it: another one has another number.
const MOUNT_NUMBER: &str = "awk '$5 == \"/mnt/wolfdisk\" {print $1, $3}' /proc/self/mountinfo";

#[test]
fn a_node_lives_through_restart_and_upgrade_and_its_data_through_the_purge() {
    let system = System::boot("alpha");
    for package in ["wolfdisk.deb", "wolfdisk-next.deb"] {
        system.put(
            &program(&format!("dist/{package}")),
            &format!("/root/{package}"),
        );
    }
    system.run("dpkg -i /root/wolfdisk.deb");
    assert!(
        system.try_run("systemctl start wolfdisk").is_err(),
        "nothing is initialised"
    );
    system.run("wolfdiskctl init --id alpha");
    system.run("systemctl start wolfdisk");
    assert_eq!(
        system.run("stat -c %U /mnt/wolfdisk /var/lib/wolfdisk/meta /run/wolfdisk/meta.sock"),
        "root\nwolfdisk\nwolfdisk\n"
    );
    system.run("echo hello >/mnt/wolfdisk/hello; sync /mnt/wolfdisk/hello");
    system.run("mkdir /mnt/second; mount -t wolfdisk wolfdisk /mnt/second -o ro,_netdev");
    assert_eq!(system.run("cat /mnt/second/hello"), "hello\n");
    assert!(system.try_run("touch /mnt/second/hello").is_err());
    system.run("umount /mnt/second");
    let number = system.run(MOUNT_NUMBER);
    assert_ne!(number, "");

    let writer = system
        .command(WRITER)
        .stderr(Stdio::piped())
        .spawn()
        .expect("a writer");
    let written = || {
        system
            .run("wc -l </mnt/wolfdisk/written")
            .trim()
            .parse::<u64>()
            .expect("a number")
    };
    let goes_on = || {
        let before = written();
        wait_until("the writer goes on", || written() > before);
    };
    wait_until("the writer begins", || {
        system.try_run("test -s /mnt/wolfdisk/written").is_ok()
    });
    for unit in [
        "wolfdisk-meta",
        "wolfdisk-chunkd",
        "'wolfdisk-fuse@*'",
        "wolfdisk",
    ] {
        system.run(&format!("systemctl restart {unit}"));
        goes_on();
        assert_eq!(
            system.run(MOUNT_NUMBER),
            number,
            "after a restart of {unit}"
        );
    }
    let before = system.run("systemctl show -P MainPID wolfdisk-meta 'wolfdisk-fuse@mnt-wolfdisk'");
    system.run("dpkg -i /root/wolfdisk-next.deb");
    let after = system.run("systemctl show -P MainPID wolfdisk-meta 'wolfdisk-fuse@mnt-wolfdisk'");
    assert_ne!(before, after, "the new programs run");
    goes_on();
    assert_eq!(system.run(MOUNT_NUMBER), number, "after the upgrade");
    system.run("touch /run/enough");
    let ended = writer.wait_with_output().expect("the writer");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    system.run("seq $(wc -l </mnt/wolfdisk/written) | cmp - /mnt/wolfdisk/written");

    system.run("systemctl stop wolfdisk");
    assert_eq!(system.run(MOUNT_NUMBER), "");
    assert_eq!(
        system.run("cat /proc/[0-9]*/comm | grep wolfdisk || true"),
        ""
    );
    system.run("systemctl start wolfdisk; test $(cat /mnt/wolfdisk/hello) = hello");
    system.run("dpkg --purge wolfdisk");
    assert_eq!(system.run(MOUNT_NUMBER), "");
    assert!(!system.holds("/usr/bin/wolfdiskctl"));
    assert!(!system.holds("/etc/wolfdisk/config.toml"));
    assert!(system.holds("/var/lib/wolfdisk/format"), "the data stays");
}

#[test]
fn the_units_are_good_and_expose_little() {
    let system = System::boot("beta");
    system.put(&program("dist/wolfdisk.deb"), "/root/wolfdisk.deb");
    system.run("dpkg -i /root/wolfdisk.deb");
    let units = "wolfdisk.service wolfdisk-meta.service wolfdisk-chunkd.service wolfdisk-s3.service wolfdisk-fuse@mnt.service";
    let said = system.run(&format!("systemd-analyze verify {units} 2>&1"));
    assert_eq!(said, "");
    for (unit, most) in [
        ("wolfdisk-meta", 30),
        ("wolfdisk-chunkd", 30),
        ("wolfdisk-s3", 30),
        ("wolfdisk-fuse@mnt", 70),
    ] {
        // The threshold is in tenths: it fails above.
        system.run(&format!(
            "systemd-analyze security --threshold={most} {unit}.service"
        ));
    }
}
