//! The threads of a volume: feed, notifications, writing back, committing, storing chunks,
//! reading ahead from other machines, housekeeping. They hold the volume weakly, so that dropping it ends them.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use super::Volume;
use super::follow::WeakFollower;
use crate::error::{Error, Result};
use crate::limits;
use crate::session::feed;

/// Starts all of them.
pub(super) fn start(volume: &Arc<Volume>) -> Result<Vec<JoinHandle<()>>> {
    let weak = Arc::downgrade(volume);
    let (session, notices) = (volume.session.clone(), volume.notices.clone());
    let follower = WeakFollower(weak.clone());
    let mut threads = vec![spawn("feed", move || {
        feed::serve(&session, &notices, &follower)
    })?];
    let notices = volume.notices.clone();
    let follower = WeakFollower(weak.clone());
    threads.push(spawn("notify", move || notices.serve(&follower))?);
    for _ in 0..limits::COMMIT_THREADS {
        let (commits, holder) = (volume.commits.clone(), weak.clone());
        threads.push(spawn("commit", move || {
            while let Some(node) = commits.next() {
                let Some(volume) = holder.upgrade() else {
                    return;
                };
                volume.commit_in_background(&node);
            }
        })?);
    }
    for _ in 0..limits::WRITE_BACK_THREADS {
        let (written, holder) = (volume.write_backs.clone(), weak.clone());
        threads.push(spawn("write-back", move || {
            while let Some(job) = written.next() {
                let Some(volume) = holder.upgrade() else {
                    return;
                };
                volume.write_back(&job);
            }
        })?);
    }
    let (names, holder) = (volume.changed_names.clone(), weak.clone());
    threads.push(spawn("tell-names", move || {
        while let Some(job) = names.next() {
            let Some(volume) = holder.upgrade() else {
                return;
            };
            volume.tell_name(&job);
        }
    })?);
    let mut put_threads = limits::PUT_THREADS;
    if let Some(remote) = volume.chunks.remote() {
        put_threads = limits::REMOTE_PUT_THREADS;
        for _ in 0..limits::READ_AHEAD_THREADS {
            let remote = remote.clone();
            threads.push(spawn("read-ahead", move || remote.serve_ahead())?);
        }
    }
    for _ in 0..put_threads {
        let (puts, holder) = (volume.puts.clone(), weak.clone());
        threads.push(spawn("put", move || {
            while let Some(sealed) = puts.next() {
                let Some(volume) = holder.upgrade() else {
                    return;
                };
                if !sealed.is_abandoned() {
                    // Whoever commits the chunk sees the result, a failure too.
                    drop(sealed.store(|data| volume.put_chunk(std::slice::from_ref(data))));
                    volume.give_up(sealed.left_behind());
                }
            }
        })?);
    }
    threads.push(spawn("retire", move || retire(&weak))?);
    Ok(threads)
}

fn retire(weak: &Weak<Volume>) {
    if let Some(volume) = weak.upgrade() {
        volume.session.retires_here();
    }
    loop {
        // Parked rather than asleep: shutting down unparks, and so does the feed.
        std::thread::park_timeout(limits::RETIRED_EVERY);
        let Some(volume) = weak.upgrade() else { return };
        if volume.session.is_stopped() {
            return;
        }
        volume.unlock_again();
        if let Err(error) = volume.chunks.drop_retired() {
            tracing::debug!(%error, "retired segments are not known");
        }
    }
}

fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(format!("volume-{name}"));
    thread
        .spawn(body)
        .map_err(|error| Error::system("starting a thread", &error))
}
