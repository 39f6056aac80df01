//! What `/proc` tells of the thread that made a request: signals that wait for it, its capabilities, its
//! groups, which users and groups its capabilities reach. The FUSE protocol carries user, group and thread only.
//!
//! A thread of another PID namespace arrives as 0 and is unknown; so is one that has ended.

use wolfdisk_client::Attr;

/// The line names of `/proc/<tid>/status` that are read.
const SIGNALS_OF_THREAD: &str = "SigPnd";
const SIGNALS_OF_PROCESS: &str = "ShdPnd";
const SIGNALS_BLOCKED: &str = "SigBlk";
const CAPABILITIES: &str = "CapEff";
const GROUPS: &str = "Groups";

/// Bits of capability sets, by `capabilities(7)`.
const CAP_CHOWN: u32 = 0;
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_FOWNER: u32 = 3;
const CAP_FSETID: u32 = 4;
const CAP_SYS_ADMIN: u32 = 21;

/// Who made a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// File system user id.
    pub uid: u32,
    /// File system group id.
    pub gid: u32,
    /// Thread id; 0 if it is not of this PID namespace.
    pub tid: u32,
}

impl From<&fuser::Request> for Caller {
    fn from(request: &fuser::Request) -> Caller {
        Caller {
            uid: request.uid(),
            gid: request.gid(),
            tid: request.pid(),
        }
    }
}

impl Caller {
    /// Whether the thread has ended or a signal waits that it does not block. An unknown thread is not
    /// interrupted.
    pub fn is_interrupted(self) -> bool {
        if self.tid == 0 {
            return false;
        }
        match std::fs::read_to_string(self.path("status")) {
            Ok(status) => signal_waits(&status),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Whether set-id bits survive its writes. Without knowledge only root's do.
    pub fn keeps_set_id_bits(self) -> bool {
        self.capable(CAP_FSETID)
    }

    /// Whether it may see `trusted` attributes.
    pub fn sees_trusted(self) -> bool {
        self.capable(CAP_SYS_ADMIN)
    }

    /// Whether it is a member of `gid`, or may act as if it were.
    pub fn is_in_group(self, gid: u32) -> bool {
        self.is_member(gid) || self.keeps_set_id_bits()
    }

    /// Whether it is a member of `gid`.
    pub fn is_member(self, gid: u32) -> bool {
        self.gid == gid || self.status().is_some_and(|status| has_group(&status, gid))
    }

    /// Whether it is the user root of our user namespace.
    pub fn is_root(self) -> bool {
        self.uid == 0
    }

    /// Whether the inode is its own.
    pub fn owns(self, attr: &Attr) -> bool {
        self.uid == attr.uid
    }

    /// Whether it may do with the inode what its owner may.
    pub fn acts_as_owner(self, attr: &Attr) -> bool {
        self.owns(attr) || self.capable_over(CAP_FOWNER, attr)
    }

    /// Whether it may give the inode to anybody.
    pub fn may_chown(self, attr: &Attr) -> bool {
        self.capable_over(CAP_CHOWN, attr)
    }

    /// Whether it may read and write whatever the permissions say.
    pub fn overrides_permissions(self, attr: &Attr) -> bool {
        self.capable_over(CAP_DAC_OVERRIDE, attr)
    }

    /// Capabilities within a user namespace reach those inodes whose user and group are mapped there.
    fn capable_over(self, capability: u32, attr: &Attr) -> bool {
        let reaches = |map, id| self.read(map).is_some_and(|map| is_mapped(&map, id));
        self.is_root()
            || self.capable(capability)
                && reaches("uid_map", attr.uid)
                && reaches("gid_map", attr.gid)
    }

    fn capable(self, capability: u32) -> bool {
        let set = self.status().and_then(|status| hex(&status, CAPABILITIES));
        set.map_or(self.uid == 0, |set| set & (1 << capability) != 0)
    }

    fn status(self) -> Option<String> {
        self.read("status")
    }

    fn read(self, name: &str) -> Option<String> {
        if self.tid == 0 {
            None
        } else {
            std::fs::read_to_string(self.path(name)).ok()
        }
    }

    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.tid)
    }
}

fn signal_waits(status: &str) -> bool {
    let set = |name| hex(status, name).unwrap_or(0);
    let pending = set(SIGNALS_OF_THREAD) | set(SIGNALS_OF_PROCESS);
    let dead = field(status, "State").is_some_and(|state| state.starts_with(['Z', 'X']));
    dead || pending & !set(SIGNALS_BLOCKED) != 0
}

fn has_group(status: &str, gid: u32) -> bool {
    field(status, GROUPS).is_some_and(|groups| {
        groups
            .split_ascii_whitespace()
            .any(|group| group.parse() == Ok(gid))
    })
}

/// Whether one of the lines "number within, number here, count" holds the number `id` here.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().skip(1).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(count))) => id
                .checked_sub(first)
                .is_some_and(|distance| distance < count),
            _ => false,
        }
    })
}

fn hex(status: &str, name: &str) -> Option<u64> {
    field(status, name).and_then(|value| u64::from_str_radix(value, 16).ok())
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcat\nState:\tS (sleeping)\nGroups:\t4 24 1000 \nSigPnd:\t0000000000000000\n\
        ShdPnd:\t0000000000000002\nSigBlk:\t0000000000000002\nCapEff:\t0000000000200000\n";

    #[test]
    fn a_blocked_signal_does_not_interrupt_and_an_unblocked_one_does() {
        assert!(!signal_waits(STATUS));
        assert!(signal_waits(&STATUS.replace(
            "SigPnd:\t0000000000000000",
            "SigPnd:\t0000000000000100"
        )));
        assert!(signal_waits(&STATUS.replace(
            "SigBlk:\t0000000000000002",
            "SigBlk:\t0000000000000000"
        )));
        assert!(signal_waits(&STATUS.replace("S (sleeping)", "Z (zombie)")));
    }

    #[test]
    fn groups_and_capabilities_are_read() {
        assert!(has_group(STATUS, 24) && !has_group(STATUS, 2));
        assert_eq!(hex(STATUS, CAPABILITIES), Some(1 << CAP_SYS_ADMIN));
    }

    #[test]
    fn a_user_namespace_reaches_the_users_that_are_mapped_into_it() {
        let all = "         0          0 4294967295\n";
        assert!(is_mapped(all, 0) && is_mapped(all, 4_294_967_294));
        let some = "0 1001 1\n1 100000 65536\n";
        assert!(is_mapped(some, 1001) && is_mapped(some, 100_000) && is_mapped(some, 165_535));
        assert!(!is_mapped(some, 0) && !is_mapped(some, 1002) && !is_mapped(some, 165_536));
    }

    #[test]
    fn a_thread_that_is_gone_is_interrupted_and_this_one_is_not() {
        let caller = |tid| Caller {
            uid: 0,
            gid: 0,
            tid,
        };
        assert!(!caller(std::process::id()).is_interrupted());
        assert!(!caller(0).is_interrupted());
        assert!(caller(u32::MAX).is_interrupted());
    }
}
