//! What mount(8) runs for a line of /etc/fstab.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use wolfdisk_tests::run;

use crate::setting::{Setting, script};

/// Where mount(8) looks for it in a tree.
const HELPER: &str = "sbin/mount.wolfdisk";

/// On a system of today `/sbin` leads to `/usr/sbin`.
fn setting() -> Setting {
    let setting = Setting::new();
    fs::create_dir_all(setting.root().join("usr/sbin")).expect("a folder");
    std::os::unix::fs::symlink("usr/sbin", setting.root().join("sbin")).expect("linked");
    setting
}

#[test]
fn mount_finds_a_helper_that_finds_the_programs_until_they_are_removed() {
    let setting = setting();
    setting.set_up(&[]);
    let helper = setting.root().join("usr/sbin/mount.wolfdisk");
    let about = fs::metadata(&helper).expect("a file");
    assert_eq!(about.permissions().mode() & 0o7777, 0o755);
    assert!(setting.root().join("sbin").is_symlink());

    // The programs are not in the PATH of who mounts.
    let outcome = run(Command::new("unshare")
        .args(["--mount", "sh", "-c"])
        .arg(
            "mount --bind \"$1/usr/local/bin\" /usr/local/bin && \
             exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin WOLFDISK_CONFIG=/nowhere \"$1/sbin/mount.wolfdisk\" wolfdisk /mnt -o ro",
        )
        .arg("sh")
        .arg(setting.root()));
    assert!(
        outcome.stderr.starts_with("wolfdiskctl: ") && outcome.stderr.contains("/nowhere"),
        "{outcome:?}"
    );

    let gone = setting.run(&["--yes", "--uninstall"]);
    assert_eq!(gone.code, Some(0), "{gone:?}");
    assert!(!helper.exists());
}

#[test]
fn a_system_that_lets_nothing_be_written_there_gets_all_else() {
    let setting = setting();
    let command = format!(
        "mount --bind usr/sbin usr/sbin && mount -o remount,bind,ro usr/sbin && exec setsid --wait {} --yes {}",
        script().display(),
        setting.options()
    );
    let outcome = run(Command::new("unshare")
        .args(["--mount", "sh", "-c", &command])
        .current_dir(setting.root()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.stderr.contains("use: wolfdiskctl mount"),
        "{outcome:?}"
    );
    assert!(!setting.root().join(HELPER).exists());
    assert!(setting.root().join("usr/local/bin/wolfdiskctl").exists());
}
