//! Mount options, as `-o` and fstab give them, checked once.
//!
//! `default_permissions` is always on: without it the kernel would leave checks to us, and skip them
//! for what it has cached. Options that only mean something to `mount(8)` are accepted and do nothing.

use std::net::SocketAddr;
use std::str::FromStr;

use fuser::{MountOption, SessionACL};
use wolfdisk_common::config::nearest;

use crate::subdir::Subdir;

/// Source and type of the mount as `/proc/mounts` shows them: `wolfdisk` and `fuse.wolfdisk`.
pub const NAME: &str = "wolfdisk";

/// Options of `mount(8)` and of other FUSE file systems that ask for what is so anyway.
const WITHOUT_EFFECT: [&str; 14] = [
    "defaults",
    "default_permissions",
    "async",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "_netdev",
    "nofail",
    "diratime",
    "big_writes",
];

/// Options with an effect that take no value.
pub const KNOWN: [&str; 20] = [
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "allow_other",
    "noallow_other",
    "allow_root",
    "atime",
    "relatime",
    "noatime",
    "strictatime",
    "nodiratime",
    "sync",
    "dirsync",
    "nonempty",
    "exclusive",
];

/// Options that take one.
pub const WITH_VALUE: [&str; 3] = ["max_read", "admin", "subdir"];

/// Who besides the user that mounts may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody.
    Owner,
    /// Root.
    Root,
    /// Everybody, as permissions allow.
    Other,
}

/// When a read changes the access time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessTime {
    /// Never.
    Never,
    /// If it is not after the last change, or a day old.
    Relative,
    /// Always.
    Strict,
}

/// Where a mount says how it is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Where the configuration says, if no other mount does.
    AsConfigured,
    /// There.
    At(SocketAddr),
    /// Nowhere.
    Nowhere,
}

impl Told {
    /// The address, if there is one; `configured` is that of the configuration.
    pub fn address(self, configured: SocketAddr) -> Option<SocketAddr> {
        match self {
            Told::AsConfigured => Some(configured),
            Told::At(address) => Some(address),
            Told::Nowhere => None,
        }
    }
}

impl FromStr for Told {
    type Err = OptionError;

    fn from_str(value: &str) -> Result<Told, OptionError> {
        let address = || value.parse().ok().filter(|at: &SocketAddr| at.port() != 0);
        match value {
            "off" => Ok(Told::Nowhere),
            _ => address().map(Told::At).ok_or_else(|| OptionError::Value {
                name: "admin",
                value: value.to_owned(),
                allowed: "an IP address and a port, as 127.0.0.1:9520, or off",
            }),
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// No changes.
    pub read_only: bool,
    /// Set-id bits have effect.
    pub suid: bool,
    /// Device nodes have effect.
    pub dev: bool,
    /// Programs can be run.
    pub exec: bool,
    /// Who may enter.
    pub access: Access,
    /// Access times of files.
    pub access_time: AccessTime,
    /// Access times of directories follow `access_time`.
    pub directory_access_time: bool,
    /// Every write is answered when durable.
    pub sync: bool,
    /// Changes of directories are (the kernel asks for a sync after each).
    pub dirsync: bool,
    /// The directory may hold files; they are hidden while mounted.
    pub nonempty: bool,
    /// No other mount beside it: the kernel buffers writes and keeps locks by itself.
    pub exclusive: bool,
    /// Largest read request; the kernel's own if `None`.
    pub read_max_bytes: Option<u32>,
    /// Where it says how it is.
    pub told: Told,
    /// The directory that becomes the root.
    pub subdir: Subdir,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            read_only: false,
            suid: false,
            dev: false,
            exec: true,
            access: Access::Other,
            access_time: AccessTime::Relative,
            directory_access_time: true,
            sync: false,
            dirsync: false,
            nonempty: false,
            exclusive: false,
            read_max_bytes: None,
            told: Told::AsConfigured,
            subdir: Subdir::default(),
        }
    }
}

/// Why an option is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Unknown.
    #[error("unknown mount option `{name}`; {hint}")]
    Unknown {
        /// As written.
        name: String,
        /// The nearest known, or all that there are.
        hint: String,
    },
    /// The value is none that there is.
    #[error("mount option {name}={value} is not allowed; allowed: {allowed}")]
    Value {
        /// Which option.
        name: &'static str,
        /// As written.
        value: String,
        /// What would be right.
        allowed: &'static str,
    },
}

impl OptionError {
    /// The same, knowing which option stands before: a path may have been cut in two.
    fn behind(self, before: &str) -> OptionError {
        match self {
            OptionError::Unknown { name, hint } if before.starts_with("subdir=") => {
                let hint = format!(
                    "{hint}; if it belongs to the path before it, write the comma as `\\,`"
                );
                OptionError::Unknown { name, hint }
            }
            other => other,
        }
    }
}

impl Options {
    /// Applies a list, separated by commas without a backslash before them; what comes later wins.
    ///
    /// # Errors
    /// Names the first option that is not known.
    pub fn apply(&mut self, list: &str) -> Result<(), OptionError> {
        let mut before = "";
        for option in split(list)
            .map(str::trim)
            .filter(|option| !option.is_empty())
        {
            let applied = match option.split_once('=') {
                Some((name, value)) => self.apply_value(name, value),
                None => self.apply_flag(option),
            };
            applied.map_err(|error| error.behind(before))?;
            before = option;
        }
        Ok(())
    }

    fn apply_flag(&mut self, name: &str) -> Result<(), OptionError> {
        match name {
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "suid" => self.suid = true,
            "nosuid" => self.suid = false,
            "dev" => self.dev = true,
            "nodev" => self.dev = false,
            "exec" => self.exec = true,
            "noexec" => self.exec = false,
            "allow_other" => self.access = Access::Other,
            "noallow_other" => self.access = Access::Owner,
            "allow_root" => self.access = Access::Root,
            "atime" | "relatime" => self.access_time = AccessTime::Relative,
            "noatime" => self.access_time = AccessTime::Never,
            "strictatime" => self.access_time = AccessTime::Strict,
            "nodiratime" => self.directory_access_time = false,
            "sync" => self.sync = true,
            "dirsync" => self.dirsync = true,
            "nonempty" => self.nonempty = true,
            "exclusive" => self.exclusive = true,
            other if WITHOUT_EFFECT.contains(&other) || other.starts_with("x-") => {}
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    fn apply_value(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        match name {
            "max_read" => {
                let allowed = |bytes: &u32| *bytes >= 4096;
                let bytes = u32::from_str(value).ok().filter(allowed);
                self.read_max_bytes = Some(bytes.ok_or_else(|| OptionError::Value {
                    name: "max_read",
                    value: value.to_owned(),
                    allowed: "a number of bytes, at least 4096",
                })?);
            }
            "admin" => self.told = value.parse()?,
            "subdir" => self.subdir = value.parse()?,
            // mount(8) hands its source on by these; the names are fixed.
            "fsname" | "subtype" => {}
            comment if comment.starts_with("x-") || comment == "comment" => {}
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    /// The volume is to be had by this mount alone. One that changes nothing needs no such right.
    pub fn is_exclusive(&self) -> bool {
        self.exclusive && !self.read_only
    }

    /// For the FUSE library, which puts them into `mount(2)` or hands them to `fusermount3`.
    pub fn to_fuser(&self) -> Vec<MountOption> {
        let pick = |on: bool, yes: MountOption, no: MountOption| if on { yes } else { no };
        let mut options = vec![
            MountOption::FSName(NAME.to_owned()),
            // As an option of the kernel's own, so that it reaches mount(2) too.
            MountOption::CUSTOM(format!("subtype={NAME}")),
            MountOption::DefaultPermissions,
            pick(self.read_only, MountOption::RO, MountOption::RW),
            pick(self.suid, MountOption::Suid, MountOption::NoSuid),
            pick(self.dev, MountOption::Dev, MountOption::NoDev),
            pick(self.exec, MountOption::Exec, MountOption::NoExec),
        ];
        if self.access_time == AccessTime::Never {
            options.push(MountOption::NoAtime);
        }
        if self.sync {
            options.push(MountOption::Sync);
        }
        if self.dirsync {
            options.push(MountOption::DirSync);
        }
        if let Some(bytes) = self.read_max_bytes {
            options.push(MountOption::CUSTOM(format!("max_read={bytes}")));
        }
        options
    }

    /// For the FUSE library, which keeps others out itself where only root may enter.
    pub fn to_acl(&self) -> SessionACL {
        match self.access {
            Access::Owner => SessionACL::Owner,
            Access::Root => SessionACL::RootAndOwner,
            Access::Other => SessionACL::All,
        }
    }
}

/// The options of a list as they are written. A backslash takes the comma or the backslash behind it with it.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    list.split(move |character| {
        let is_end = character == ',' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    })
}

fn unknown(name: &str) -> OptionError {
    let hint = match nearest(name, KNOWN.into_iter().chain(WITH_VALUE)) {
        Some(near) if WITH_VALUE.contains(&near) => format!("did you mean `{near}=`?"),
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let with_value = WITH_VALUE.map(|name| format!("{name}="));
            format!("known are {}, {}", KNOWN.join(", "), with_value.join(", "))
        }
    };
    OptionError::Unknown {
        name: name.to_owned(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<Options, OptionError> {
        let mut options = Options::default();
        options.apply(list).map(|()| options)
    }

    #[test]
    fn the_last_word_counts_and_comments_of_fstab_do_nothing() {
        let options =
            parse("ro,suid,,rw,noatime,x-systemd.automount,x-gvfs-show=1,_netdev,defaults");
        let want = Options {
            suid: true,
            access_time: AccessTime::Never,
            ..Options::default()
        };
        assert_eq!(options, Ok(want));
    }

    #[test]
    fn every_known_option_is_taken() {
        for name in KNOWN {
            assert!(parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_directory_that_becomes_the_root_is_a_path_below_it() {
        let subdir = |list| parse(list).map(|options| options.subdir.to_string());
        assert_eq!(subdir("rw").as_deref(), Ok("/"));
        assert_eq!(subdir("ro,subdir=projects/a").as_deref(), Ok("/projects/a"));
        assert!(parse("subdir=a/../..").is_err());
        let written = r"ro,subdir=a\,b/c\\,noatime";
        assert_eq!(subdir(written).as_deref(), Ok(r"/a,b/c\"));
        assert!(
            parse(written)
                .is_ok_and(|options| options.read_only && options.access_time == AccessTime::Never)
        );
        let cut = parse("subdir=a,b,ro").map_err(|error| error.to_string());
        assert!(cut.is_err_and(|text| text.contains("write the comma as `\\,`")));
        let unknown = parse("ro,b").map_err(|error| error.to_string());
        assert!(unknown.is_err_and(|text| !text.contains("comma")));
        let error = parse("subdirs=a").map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("did you mean `subdir=`?")));
    }

    #[test]
    fn an_unknown_option_is_refused_with_a_hint() {
        assert_eq!(
            parse("rw,allow_othr").map_err(|error| error.to_string()),
            Err("unknown mount option `allow_othr`; did you mean `allow_other`?".to_owned())
        );
        assert!(parse("max_read=many").is_err() && parse("max_read=12").is_err());
        assert_eq!(
            parse("max_read=65536").map(|o| o.read_max_bytes),
            Ok(Some(65536))
        );
    }

    #[test]
    fn where_it_says_how_it_is_is_an_address_the_usual_one_or_none() {
        let usual = SocketAddr::from(([127, 0, 0, 1], 9512));
        let told = |list| parse(list).map(|options| options.told.address(usual));
        assert_eq!(told("rw"), Ok(Some(usual)));
        assert_eq!(told("admin=off"), Ok(None));
        let other = SocketAddr::from(([127, 0, 0, 1], 9520));
        assert_eq!(told("admin=127.0.0.1:9520"), Ok(Some(other)));
        for bad in [
            "admin=9520",
            "admin=localhost:9520",
            "admin=127.0.0.1:0",
            "admin=",
        ] {
            let error = parse(bad).map_err(|error| error.to_string());
            assert!(error.is_err_and(|text| text.contains("or off")), "{bad}");
        }
    }

    #[test]
    fn unsafe_features_are_off_unless_asked_for() {
        let options = Options::default().to_fuser();
        for want in [
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::DefaultPermissions,
        ] {
            assert!(options.contains(&want));
        }
        let options = parse("suid,dev,sync,ro").expect("options").to_fuser();
        for want in [
            MountOption::Suid,
            MountOption::Dev,
            MountOption::Sync,
            MountOption::RO,
        ] {
            assert!(options.contains(&want));
        }
    }
}
