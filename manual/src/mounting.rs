//! mount.wolfdisk(8): mount(8), `/etc/fstab`, and all mount options.

use std::io;

use clap_mangen::roff::{bold, italic, roman};

use crate::File;
use crate::page::{begin, file, item, see_also, text};

const NAME: &str = "mount.wolfdisk";

/// What each option does; those that are its opposite or the default are said with it.
const OPTIONS: &[(&str, &str)] = &[
    (
        "ro, rw",
        "Nothing can be changed through this mount; or everything can, which is the default.",
    ),
    (
        "nosuid, suid",
        "Set-id bits have no effect, which is the default; or they have.",
    ),
    (
        "nodev, dev",
        "Device nodes have no effect, which is the default; or they have.",
    ),
    (
        "exec, noexec",
        "Programs can be run, which is the default; or they cannot.",
    ),
    (
        "allow_other, allow_root, noallow_other",
        "Everybody may enter, as permissions allow, which is the default; or root and who mounts; or only who mounts.",
    ),
    (
        "relatime, atime, noatime, strictatime",
        "A read changes the access time of a file if that is not after the last change, or a day old (relatime, atime; the default); \
         never; or always.",
    ),
    ("nodiratime", "Access times of directories are not changed."),
    ("sync", "Every write is answered when it is durable."),
    ("dirsync", "So is every change of a directory."),
    (
        "nonempty",
        "The directory may hold files; they are hidden while it is mounted.",
    ),
    (
        "exclusive",
        "No other mount has the volume meanwhile: the kernel gathers writes and keeps locks by itself.",
    ),
    (
        "subdir=PATH",
        "The directory PATH of the volume becomes the root of the mount, which follows it when it is renamed. In PATH a comma is written \\,, a backslash \\\\, \
         and any other byte, as of a name that is not UTF-8, may be a backslash and three octal digits. In /etc/fstab a space is \\040, \
         and such a backslash before digits \\134. It keeps nobody out; \
         what a machine may see is said by its token (wolfdiskctl join-token --subdir).",
    ),
    (
        "admin=ADDRESS, admin=off",
        "Where the mount tells its health and its numbers, as 127.0.0.1:9520; or nowhere.",
    ),
    ("max_read=BYTES", "The largest read request, at least 4096."),
];

/// # Errors
/// See [`crate::files`].
pub fn page() -> io::Result<File> {
    let mut page = begin(NAME, "8", "mount a WolfDisk volume");
    page.control("SH", ["SYNOPSIS"]);
    page.text([
        bold("mount -t wolfdisk wolfdisk "),
        italic("DIRECTORY"),
        roman(" ["),
        bold("-o "),
        italic("OPTIONS"),
        roman("]"),
    ]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "mount(8) calls it for file systems of the type wolfdisk. It returns when the mount is usable. The machine must be a node, \
         or have joined a cluster (wolfdiskctl init). umount(8) takes the mount off when all is written.",
    )]);
    page.control("SH", ["OPTIONS"]);
    page.text([roman(
        "Of two that contradict each other the later one counts.",
    )]);
    for (names, about) in OPTIONS {
        item(&mut page, names, *about);
    }
    page.control("PP", []);
    page.text([roman(
        "What only mount(8) and systemd look at is accepted and has no other effect: defaults, auto, noauto, user, nofail, _netdev, \
         x-*, comment.",
    )]);
    page.control("SH", ["EXAMPLES"]);
    page.text([roman(
        "A line of /etc/fstab on a machine with systemd, which mounts when the node runs:",
    )]);
    page.control("PP", []);
    page.control("EX", []);
    page.text([roman(
        "wolfdisk /mnt/wolfdisk wolfdisk _netdev,x-systemd.requires=wolfdisk.service 0 0",
    )]);
    page.control("EE", []);
    see_also(
        &mut page,
        &[
            ("wolfdiskctl", "1"),
            ("wolfdisk-fuse", "8"),
            ("wolfdisk-config", "5"),
            ("mount", "8"),
            ("fstab", "5"),
        ],
    );
    Ok(file(NAME, "8", text(&page)?))
}
