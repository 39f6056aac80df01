//! How a request ends: noted by the thread that carries it out, when it answers with an error, and read by whoever
//! counts the request when the thread is done with it ([`crate::gate`]).

use std::cell::Cell;

use fuser::Errno;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; also that a name is missing is an answer.
    Ok,
    /// As a local file system would have refused it too.
    Refused,
    /// There was no room.
    Full,
    /// `EIO`: a daemon did not answer, or something is damaged or lost.
    Failed,
    /// It waits for a lock, on a thread of its own: how it ends is not counted.
    Later,
}

/// Their names, in their order.
pub const OUTCOMES: [&str; 5] = ["ok", "refused", "full", "failed", "later"];

thread_local! {
    static NOTED: Cell<Outcome> = const { Cell::new(Outcome::Ok) };
}

impl Outcome {
    /// That of a request that is answered with `errno`.
    pub fn of(errno: Errno) -> Outcome {
        match errno.code() {
            libc::EIO => Outcome::Failed,
            libc::ENOSPC | libc::EDQUOT => Outcome::Full,
            _ => Outcome::Refused,
        }
    }

    /// Notes how the request ends that this thread carries out.
    pub fn note(self) {
        NOTED.set(self);
    }

    /// What was noted since this was last asked; [`Outcome::Ok`] if nothing was.
    pub fn take() -> Outcome {
        NOTED.replace(Outcome::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_told_once() {
        assert_eq!(Outcome::take(), Outcome::Ok);
        Outcome::of(Errno::EIO).note();
        let elsewhere = std::thread::spawn(Outcome::take).join();
        assert_eq!(elsewhere.expect("it ends"), Outcome::Ok);
        assert_eq!(Outcome::take(), Outcome::Failed);
        assert_eq!(Outcome::take(), Outcome::Ok);
        assert_eq!(Outcome::of(Errno::ENOSPC), Outcome::Full);
        assert_eq!(Outcome::of(Errno::EEXIST), Outcome::Refused);
        assert_eq!(OUTCOMES[Outcome::Later as usize], "later");
    }
}
