//! What a daemon tells the service manager between its start and its end: that it works, and what it does.
//!
//! A sign of life is given by the daemon's own loop after a piece of its work, never by a clock alone: a daemon that hangs
//! gives none, and systemd starts it anew (`WatchdogSec=`). Our own supervisor looks at such messages until a daemon is
//! ready and no longer, so it gets none of these.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::limits::STATUS_INTERVAL;
use crate::notify;
use crate::shutdown::LIFELINE_VARIABLE;

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    every: Option<Duration>,
    status: Mutex<Status>,
}

/// What is said of the daemon.
#[derive(Debug, Default)]
struct Status {
    doing: String,
    note: Option<String>,
    said: String,
}

impl Default for Pulse {
    /// As the environment says who listens.
    fn default() -> Pulse {
        let supervised = std::env::var_os(LIFELINE_VARIABLE).is_some();
        let heard = notify::is_heard() && !supervised;
        Pulse(Arc::new(Inner {
            every: heard.then(|| interval(notify::watched_every())),
            status: Mutex::default(),
        }))
    }
}

impl Pulse {
    /// How often [`Pulse::beat`] is expected. `None`: nobody listens.
    pub fn every(&self) -> Option<Duration> {
        self.0.every
    }

    /// The daemon works, says the loop that does what it is for; `doing` is what it does, for people.
    pub fn beat(&self, doing: &str) {
        notify::alive(self.0.status.lock().does(doing).as_deref());
    }

    /// Runs for ever: does a piece of work again and again, which gives what the daemon does.
    pub async fn follow(&self, work: impl AsyncFn() -> String) {
        let Some(every) = self.every() else {
            return std::future::pending().await;
        };
        loop {
            self.beat(&work().await);
            tokio::time::sleep(every).await;
        }
    }

    /// Something that whoever looks after the machine should know, until there is something else or nothing.
    pub fn note(&self, note: Option<String>) {
        let changed = self.0.status.lock().has(note);
        if let (Some(text), Some(_)) = (changed, self.every()) {
            notify::doing(&text);
        }
    }
}

/// Twice in the time after which a daemon counts as hanging, and so often that what is said is not old.
fn interval(watched: Option<Duration>) -> Duration {
    watched.map_or(STATUS_INTERVAL, |watched| {
        (watched / 2).min(STATUS_INTERVAL)
    })
}

impl Status {
    /// What is to be said now, if that is something else than before.
    fn does(&mut self, doing: &str) -> Option<String> {
        doing.clone_into(&mut self.doing);
        self.changed()
    }

    fn has(&mut self, note: Option<String>) -> Option<String> {
        self.note = note;
        self.changed()
    }

    fn changed(&mut self) -> Option<String> {
        let text = match &self.note {
            Some(note) if self.doing.is_empty() => note.clone(),
            Some(note) => format!("{}; {note}", self.doing),
            None => self.doing.clone(),
        };
        (text != self.said).then(|| {
            self.said.clone_from(&text);
            text
        })
    }
}

/// What a daemon does, and after it what is wrong.
pub fn with_troubles(doing: String, troubles: &[String]) -> String {
    match troubles {
        [] => doing,
        [only] => format!("{doing}; {only}"),
        [first, others @ ..] => format!("{doing}; {first}; and {} more", others.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_said_once_and_its_note_stays() {
        let mut status = Status::default();
        assert_eq!(status.does("serves"), Some("serves".to_owned()));
        assert_eq!(status.does("serves"), None);
        let noted = status.has(Some("old settings".to_owned()));
        assert_eq!(noted, Some("serves; old settings".to_owned()));
        let more = status.does("serves two");
        assert_eq!(more, Some("serves two; old settings".to_owned()));
        assert_eq!(status.has(None), Some("serves two".to_owned()));
        assert_eq!(status.has(None), None);
    }

    #[test]
    fn it_is_looked_twice_in_the_time_that_the_watchdog_leaves() {
        assert_eq!(interval(None), STATUS_INTERVAL);
        assert_eq!(
            interval(Some(Duration::from_secs(2))),
            Duration::from_secs(1)
        );
        assert_eq!(interval(Some(Duration::from_secs(120))), STATUS_INTERVAL);
    }

    #[test]
    fn troubles_follow_what_is_done() {
        let troubles = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let said = |count: usize| with_troubles("serves".to_owned(), &troubles[..count]);
        assert_eq!(said(0), "serves");
        assert_eq!(said(1), "serves; a");
        assert_eq!(said(3), "serves; a; and 2 more");
    }

    #[test]
    fn nobody_listens_to_a_test() {
        let pulse = Pulse::default();
        assert_eq!(pulse.every(), None);
        pulse.note(Some("nothing".to_owned()));
    }
}
