//! What `/proc` tells of the thread that made a request: signals that wait for it, its capabilities, its
//! groups. The FUSE protocol carries user, group and thread only.
//!
//! A thread of another PID namespace arrives as 0 and is unknown; so is one that has ended.

/// The line names of `/proc/<tid>/status` that are read.
const SIGNALS_OF_THREAD: &str = "SigPnd";
const SIGNALS_OF_PROCESS: &str = "ShdPnd";
const SIGNALS_BLOCKED: &str = "SigBlk";
const CAPABILITIES: &str = "CapEff";
const GROUPS: &str = "Groups";

/// Bits of capability sets, by `capabilities(7)`.
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
        match std::fs::read_to_string(self.status_path()) {
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
        self.gid == gid
            || self.keeps_set_id_bits()
            || self.status().is_some_and(|status| has_group(&status, gid))
    }

    fn capable(self, capability: u32) -> bool {
        let set = self.status().and_then(|status| hex(&status, CAPABILITIES));
        set.map_or(self.uid == 0, |set| set & (1 << capability) != 0)
    }

    fn status(self) -> Option<String> {
        if self.tid == 0 {
            None
        } else {
            std::fs::read_to_string(self.status_path()).ok()
        }
    }

    fn status_path(self) -> String {
        format!("/proc/{}/status", self.tid)
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
