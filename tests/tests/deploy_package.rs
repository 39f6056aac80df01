//! The package on a Debian of its own: installed, started, restarted, upgraded, stopped and purged as its administrator
//! does it.

use std::process::Stdio;

use wolfdisk_tests::{System, program, wait_until};

/// Appends a line every 10 ms to a file that it keeps open, and ends with an error at the first that is not taken.
const WRITER: &str = "exec >>/mnt/wolfdisk/written; n=0; while [ ! -e /run/enough ]; do n=$((n+1)); echo $n; sleep 0.01; done";
/// The mount as the kernel numbers it: another one has another number.
const MOUNT_NUMBER: &str = "awk '$5 == \"/mnt/wolfdisk\" {print $1, $3}' /proc/self/mountinfo";

/// The release that each daemon says which runs, by the program that the kernel has for its process.
const RUNNING: &str = "for unit in meta chunkd fuse@mnt-wolfdisk; do /proc/$(systemctl show -P MainPID wolfdisk-$unit)/exe --version; done";
/// The release that the tests belong to, and that of `wolfdisk-next.deb`, which is built anew.
const RELEASE: &str = env!("CARGO_PKG_VERSION");
const NEXT: &str = "9999.0.0";
const FORMAT: &str = "/var/lib/wolfdisk/format";

/// All is of one release: the programs, what runs, and what the daemons tell of themselves.
fn must_run(system: &System, release: &str) {
    let expected: String = ["meta", "chunkd", "fuse"]
        .map(|name| format!("wolfdisk-{name} {release}\n"))
        .concat();
    assert_eq!(system.run(RUNNING), expected);
    assert_eq!(
        system.run("wolfdiskctl --version"),
        format!("wolfdiskctl {release}\n")
    );
    let list = system.run("wolfdiskctl list servers");
    assert!(list.contains(&format!(" {release} ")), "{list}");
    // It finds what is wrong with a container as well.
    let doctor = system.run("wolfdiskctl doctor || true");
    let verdict = format!("all of release {release}, in /usr/bin");
    assert!(doctor.contains(&verdict), "{doctor}");
}

/// As if a later release had changed what is stored: this one leaves it alone and says what to do, until the later one is back.
fn data_of_a_later_format_is_refused(system: &System) {
    system.run(&format!(
        "cp -p {FORMAT} /root/format; sed -i 's/[0-9]*$/99/' {FORMAT}"
    ));
    let before = system.run("cd /var/lib/wolfdisk; find . -type f | sort | xargs sha256sum");
    assert!(system.try_run("systemctl start wolfdisk").is_err());
    let said = system.run("journalctl -q -b -o cat -u 'wolfdisk*' -n 20");
    let refusal = "/var/lib/wolfdisk has data format 99, this release reads up to 1; install the newer release again";
    assert!(said.contains(refusal), "{said}");
    assert_eq!(
        system.run("cd /var/lib/wolfdisk; find . -type f | sort | xargs sha256sum"),
        before
    );
    system.run(&format!(
        "cp -p /root/format {FORMAT}; systemctl reset-failed 'wolfdisk*'"
    ));
}

#[test]
fn a_node_lives_through_restart_and_upgrade_and_its_data_through_the_purge() {
    let system = System::boot("alpha");
    for package in ["wolfdisk.deb", "wolfdisk-next.deb"] {
        system.put(
            &program(&format!("dist/{package}")),
            &format!("/root/{package}"),
        );
    }
    let said = system.run("dpkg -i /root/wolfdisk.deb");
    assert!(
        said.contains("next, make this machine a node: wolfdiskctl init"),
        "{said}"
    );
    assert!(
        system.try_run("systemctl start wolfdisk").is_err(),
        "nothing is initialised"
    );
    assert!(
        system
            .run("wolfdisk status --help")
            .contains("Usage: wolfdisk status"),
        "by the name that it was called by"
    );
    system.run("wolfdisk init --id alpha");
    let refused = system.try_run("mount -t wolfdisk wolfdisk /mnt");
    let advice = "x-systemd.requires=wolfdisk.service";
    assert!(
        refused.is_err_and(|said| said.contains(advice)),
        "root's daemons would be in the way of the units'"
    );
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
    must_run(&system, RELEASE);
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
    // The later release, and this one again, which opens what that one wrote.
    for (package, release) in [("wolfdisk-next", NEXT), ("wolfdisk", RELEASE)] {
        system.run(&format!("dpkg -i /root/{package}.deb"));
        must_run(&system, release);
        goes_on();
        assert_eq!(system.run(MOUNT_NUMBER), number, "with release {release}");
    }
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
    data_of_a_later_format_is_refused(&system);
    system.run("systemctl start wolfdisk; test $(cat /mnt/wolfdisk/hello) = hello");
    system.run("systemctl stop wolfdisk");
    // It brings the node with it.
    system.run(&format!(
        "echo 'wolfdisk /mnt/second wolfdisk ro,_netdev,{advice} 0 0' >>/etc/fstab; systemctl daemon-reload; systemctl start mnt-second.mount"
    ));
    assert_eq!(system.run("cat /mnt/second/hello"), "hello\n");
    system.run("umount /mnt/second");
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

#[test]
fn the_package_takes_over_from_a_node_that_ran_by_hand() {
    let system = System::boot("beta");
    system.put(&program("dist/wolfdisk.deb"), "/root/wolfdisk.deb");
    let control = "/opt/hand/usr/bin/wolfdiskctl";
    system.run(&format!(
        "dpkg -x /root/wolfdisk.deb /opt/hand; {control} init; mkdir /mnt/wolfdisk; \
         {control} mount --background; echo kept >/mnt/wolfdisk/kept"
    ));
    system.run(&format!("{control} unmount -m /mnt/wolfdisk"));
    wait_until("the daemons of root stop", || {
        system.try_run(&format!("{control} status")).is_err()
    });
    system.run("dpkg -i /root/wolfdisk.deb; systemctl start wolfdisk");
    assert_eq!(system.run("cat /mnt/wolfdisk/kept"), "kept\n");
    assert_eq!(system.run("find /var/lib/wolfdisk -not -user wolfdisk"), "");
}
