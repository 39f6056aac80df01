//! The thread that listens, asks and announces, and what others see of it.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::{Condvar, Mutex};
use rand::TryRngCore;
use rand::rngs::OsRng;
use uuid::Uuid;
use wolfdisk_common::config;

use crate::beacon::{About, BeaconKey, Presence};
use crate::heard::{Counts, Heard, Myself, Now, Reaction, Sight, Trust};
use crate::interfaces::Interfaces;
use crate::limits::{
    ANNOUNCE_INTERVAL, ASK_INTERVAL, BEACON_MAX_BYTES, FLOOD_PAUSE, INTERFACES_INTERVAL,
    READ_AT_ONCE, SEEK_INTERVAL, SILENT_AFTER,
};
use crate::links::Links;

/// What a node tells others.
pub struct Announcer {
    /// Its name and start.
    pub myself: Myself,
    /// Its cluster.
    pub cluster: Uuid,
    /// The key that it signs with.
    pub key: BeaconKey,
    /// What else, at present; none: nothing is to be said yet.
    pub about: Box<dyn Fn() -> Option<About> + Send>,
}

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcer")
            .field("myself", &self.myself)
            .finish_non_exhaustive()
    }
}

/// A number that nobody can guess.
///
/// # Errors
/// The system has none.
pub fn random() -> io::Result<u64> {
    OsRng.try_next_u64().map_err(io::Error::other)
}

/// What the thread and everybody else share.
struct Shared {
    began: Instant,
    heard: Mutex<Heard>,
    /// Somebody new was heard.
    changed: Condvar,
    stop: AtomicBool,
    wake: EventFd,
}

/// What was heard, for as long as the thread runs, and afterwards as it was.
#[derive(Clone)]
pub struct View(Arc<Shared>);

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

/// The thread. Stops when this is dropped.
pub struct Discovery {
    view: View,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery")
            .field("running", &self.thread.is_some())
            .finish_non_exhaustive()
    }
}

impl Discovery {
    /// Listens, and announces if there is something to. Without a group it opens nothing.
    ///
    /// # Errors
    /// The system has no thread, descriptor or random number left. An interface that cannot be used is no error: it is
    /// counted and tried again.
    pub fn start(
        group: config::Discovery,
        trust: Trust,
        announcer: Option<Announcer>,
        interfaces: Box<dyn Interfaces>,
    ) -> io::Result<Discovery> {
        let myself = announcer.as_ref().map(|announcer| announcer.myself.clone());
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let shared = Arc::new(Shared {
            began: Instant::now(),
            heard: Mutex::new(Heard::new(trust, myself)),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            wake: EventFd::from_value_and_flags(0, flags)?,
        });
        let thread = match group {
            config::Discovery::None => None,
            config::Discovery::Multicast(group) => {
                let work = Work {
                    shared: Arc::clone(&shared),
                    group,
                    announcer,
                    interfaces,
                    links: Links::default(),
                    counter: 0,
                    due: Due::default(),
                };
                let thread = std::thread::Builder::new().name("discovery".to_owned());
                Some(thread.spawn(move || work.run())?)
            }
        };
        Ok(Discovery {
            view: View(shared),
            thread,
        })
    }

    /// Whether it was told a group.
    pub fn is_listening(&self) -> bool {
        self.thread.is_some()
    }

    /// What is heard.
    pub fn view(&self) -> &View {
        &self.view
    }
}

impl View {
    /// All nodes that were heard.
    pub fn sights(&self) -> Vec<Sight> {
        self.0.heard.lock().sights(self.0.now())
    }

    /// Where the nodes of this cluster are, the surest first.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.heard.lock().addresses(self.0.now())
    }

    /// Whether the node that was heard at an address is heard at others only.
    pub fn has_left(&self, address: SocketAddr) -> bool {
        self.0.heard.lock().has_left(address, self.0.now())
    }

    /// What is wrong in this cluster, and what to do about it.
    pub fn troubles(&self) -> Vec<String> {
        self.0.heard.lock().troubles(self.0.now())
    }

    /// What one may want to know, though nothing is wrong.
    pub fn notes(&self) -> Vec<String> {
        self.0.heard.lock().notes(self.0.now())
    }

    /// What became of what was heard.
    pub fn counts(&self) -> Counts {
        self.0.heard.lock().counts()
    }

    /// Waits until a node of this cluster is known, or the time has come; whether one is.
    pub fn wait(&self, until: Instant) -> bool {
        let known = |heard: &Heard, now| (!heard.addresses(now).is_empty()).then_some(());
        self.wait_for(until, known).is_some()
    }

    /// The same of any cluster's: the first that is heard. Nothing that it says is proven.
    pub fn wait_for_anybody(&self, until: Instant) -> Option<Sight> {
        self.wait_for(until, |heard, now| heard.sights(now).into_iter().next())
    }

    fn wait_for<T>(
        &self,
        until: Instant,
        look: impl Fn(&Heard, Duration) -> Option<T>,
    ) -> Option<T> {
        let mut heard = self.0.heard.lock();
        loop {
            if let Some(found) = look(&heard, self.0.now()) {
                return Some(found);
            }
            if self.0.changed.wait_until(&mut heard, until).timed_out() {
                return look(&heard, self.0.now());
            }
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.view.0.stop.store(true, Ordering::Release);
        if let Err(error) = self.view.0.wake.write(1) {
            // It is full only if it was written to before; it looks at the flag each second anyway.
            tracing::debug!(%error, "discovery was not woken");
        }
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            // The panic has been logged by the hook.
            tracing::error!("the thread of discovery had panicked");
        }
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn clocks(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            monotonic: self.now(),
            wall_ms: wall.map_or(0, |since| since.as_millis() as u64),
        }
    }
}

/// When what is to be done next.
#[derive(Debug, Default)]
struct Due {
    interfaces: Duration,
    announce: Duration,
    ask: Duration,
    asked: Option<Duration>,
    /// Until then a question is repeated quickly while nobody is known.
    eager: Duration,
}

struct Work {
    shared: Arc<Shared>,
    group: SocketAddrV4,
    announcer: Option<Announcer>,
    interfaces: Box<dyn Interfaces>,
    links: Links,
    counter: u64,
    due: Due,
}

impl Work {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let now = self.shared.now();
            if now >= self.due.interfaces {
                self.due.interfaces = now + INTERFACES_INTERVAL;
                self.look_at_interfaces(now);
            }
            if now >= self.due.announce {
                self.due.announce = now + ANNOUNCE_INTERVAL;
                self.announce();
            }
            if now >= self.due.ask {
                self.ask(now);
            }
            if let Err(error) = self.wait() {
                tracing::warn!(%error, "discovery cannot wait for datagrams");
                std::thread::sleep(FLOOD_PAUSE);
            }
            if self.read() {
                std::thread::sleep(FLOOD_PAUSE);
            }
        }
    }

    fn look_at_interfaces(&mut self, now: Duration) {
        self.shared.heard.lock().forget(now);
        let interfaces = match self.interfaces.list() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::warn!(%error, "the interfaces of this machine are not known");
                return;
            }
        };
        let (opened, failed) = self.links.follow(&interfaces, self.group);
        self.shared.heard.lock().counts_mut().deaf += failed;
        if opened {
            self.due.announce = now;
            self.due.ask = now;
            self.due.eager = now + SILENT_AFTER;
        }
    }

    /// A signed beacon, if there is anything to say.
    fn beacon(&mut self, answers: Option<u64>) -> Option<Vec<u8>> {
        let announcer = self.announcer.as_ref()?;
        let about = (announcer.about)()?;
        self.counter += 1;
        let presence = Presence {
            cluster: announcer.cluster,
            node: announcer.myself.node.clone(),
            start: announcer.myself.start,
            counter: self.counter,
            answers,
            about: About {
                wall_ms: self.shared.clocks().wall_ms,
                ..about
            },
        };
        Some(presence.encode(&announcer.key))
    }

    fn announce(&mut self) {
        // Each has a number of its own: who hears two interfaces hears both.
        let links = std::mem::take(&mut self.links);
        for link in links.iter() {
            if let Some(beacon) = self.beacon(None) {
                self.sent(link.tell_all(&beacon));
            }
        }
        self.links = links;
    }

    fn ask(&mut self, now: Duration) {
        let known = !self.shared.heard.lock().addresses(now).is_empty();
        let seeking = !known && now < self.due.eager;
        self.due.ask = now + if seeking { SEEK_INTERVAL } else { ASK_INTERVAL };
        self.due.asked = Some(now);
        let nonce = match random() {
            Ok(nonce) => nonce,
            Err(error) => {
                tracing::warn!(%error, "no question can be asked");
                return;
            }
        };
        let question = self.shared.heard.lock().ask(now, nonce).encode();
        for link in self.links.iter() {
            self.sent(link.tell_all(&question));
        }
    }

    fn sent(&self, result: io::Result<()>) {
        if let Err(error) = result {
            // An interface may be about to go, or its queue is full: the next beacon follows soon.
            tracing::debug!(%error, "a beacon was not sent");
            self.shared.heard.lock().counts_mut().unsent += 1;
        }
    }

    fn wait(&self) -> io::Result<()> {
        let due = [self.due.interfaces, self.due.announce, self.due.ask];
        let next = due.into_iter().min().unwrap_or_default();
        let pause = next.saturating_sub(self.shared.now());
        // Rounded up: else it would wake a little early, several times.
        let timeout = PollTimeout::try_from(pause + Duration::from_millis(1));
        let wake = PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN);
        let links = self.links.iter().flat_map(|link| link.fds());
        let mut fds: Vec<_> = links.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        fds.push(wake);
        match poll(&mut fds, timeout.unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what has come; whether there is more than can be looked at.
    fn read(&mut self) -> bool {
        let mut flooded = false;
        // One byte more than allowed: what is longer shows.
        let mut room = [0; BEACON_MAX_BYTES + 1];
        let links = std::mem::take(&mut self.links);
        for link in links.iter() {
            for _ in 0..READ_AT_ONCE {
                let (length, from) = match link.receive(&mut room) {
                    Ok(Some(received)) => received,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "an interface does not hear");
                        break;
                    }
                };
                let Some(datagram) = room.get(..length) else {
                    break;
                };
                let now = self.shared.clocks();
                let reaction = self.shared.heard.lock().receive(now, from, datagram);
                match reaction {
                    Reaction::Nothing => {}
                    Reaction::Pause => flooded = true,
                    Reaction::Answer(nonce) => {
                        if let Some(answer) = self.beacon(Some(nonce)) {
                            self.sent(link.tell(from, &answer));
                        }
                    }
                    Reaction::New => self.somebody_new(now.monotonic),
                    Reaction::Foreign => {
                        self.shared.changed.notify_all();
                    }
                }
            }
        }
        self.links = links;
        flooded
    }

    fn somebody_new(&mut self, now: Duration) {
        self.shared.changed.notify_all();
        // Only nodes judge who lives.
        if self.announcer.is_some() {
            let asked = self.due.asked.unwrap_or_default();
            self.due.ask = self.due.ask.min(now.max(asked + SEEK_INTERVAL));
        }
    }
}

#[cfg(test)]
mod tests;
