//! `status`: the one answer that programs parse and people read.

use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use wolfdisk_client::Reach;
use wolfdisk_common::config::{Config, Peer};
use wolfdisk_common::exit::Exit;
use wolfdisk_common::identity::IdentityError;
use wolfdisk_common::mounts;
use wolfdisk_proto::v1::{MetaStatus, ScrubStatus};

use super::distance::{clock_trouble, nobody, packet_trouble};
use super::reach;
use super::servers::{self, Server};
use super::standing::Standing;
use crate::cli::Global;
use crate::output::{bytes, json, print, verdict};
use crate::users;

/// What `status --json` prints. Names are fixed: programs rely on them.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    node: Node,
    cluster: Cluster,
    /// Of a machine that asked another.
    connection: Option<Connection>,
    nodes: Vec<Server>,
    mounts: Vec<Mount>,
    chunks: Chunks,
    scrub: Option<Scrub>,
    capacity: Option<Capacity>,
    config: Option<String>,
    data_dir: String,
}

#[derive(Debug, Serialize)]
struct Node {
    id: Option<String>,
    role: String,
    state: String,
}

/// To a node on another machine.
#[derive(Debug, Serialize)]
struct Connection {
    address: String,
    node: String,
    release: String,
}

#[derive(Debug, Serialize)]
struct Cluster {
    id: Option<String>,
    leader: Option<String>,
    generation: Option<u64>,
    version: Option<u64>,
    mode: String,
    healthy: bool,
    reasons: Vec<String>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Mount {
    path: String,
    pid: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Chunks {
    by_copies: std::collections::BTreeMap<String, u64>,
    damaged: u64,
}

/// How scrubbing goes; times are seconds since 1970.
#[derive(Debug, Serialize)]
struct Scrub {
    enabled: bool,
    bytes_per_second: u64,
    due_s: u64,
    running: Option<ScrubPass>,
    last: Option<ScrubPass>,
}

#[derive(Debug, Serialize)]
struct ScrubPass {
    began_s: u64,
    ended_s: Option<u64>,
    bytes: u64,
    damaged: Option<u64>,
    healed: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Capacity {
    total: u64,
    used: u64,
    free: u64,
}

pub(super) fn run(global: &Global) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let (status, exit) = learn(global, &config)?;
    match global.json {
        true => print(&json(&status)?),
        false => print(&status.for_people(&config, global.no_color)),
    }
    Ok(exit)
}

/// Asks. The code: nobody answers, or something is wrong, or nothing is.
///
/// # Errors
/// An answer is none, or no.
pub(super) fn learn(global: &Global, config: &Config) -> anyhow::Result<(Status, Exit)> {
    let standing = Standing::of(config);
    let reach = match (&standing, &global.node) {
        // The status of what is not set up says so.
        (Err(IdentityError::NotInitialised { .. } | IdentityError::NotJoined { .. }), None) => {
            Reach::local(&config.paths())
        }
        _ => reach::whom(global, config)?,
    };
    let mut answer = reach::status(&reach)?;
    let nodes = match &answer {
        Some(_) => servers::ask(&reach)?,
        None => Vec::new(),
    };
    let mut troubles = Vec::new();
    if answer.is_none() {
        answer = reach::status_by_small_packets(&reach);
        troubles.extend(answer.as_ref().map(packet_trouble));
    }
    if let (Some(answer), Some(_)) = (&answer, reach.as_remote()) {
        troubles.extend(clock_trouble(answer, SystemTime::now()));
    }
    let nodes = nodes.into_iter().filter(|server| server.own).collect();
    // Who uses nodes elsewhere looks for them itself.
    let notes = match &standing {
        Ok(Standing::Node(own)) => {
            let peers: Vec<&str> = config.cluster.peers.iter().map(Peer::as_str).collect();
            wolfdisk_discovery::silent_peers(own.volume, &peers)
        }
        _ => Vec::new(),
    };
    let status = Status::of(
        config,
        &standing,
        &reach,
        answer.as_ref(),
        nodes,
        troubles,
        notes,
    );
    let exit = match answer {
        None => Exit::NotRunning,
        Some(_) if !status.cluster.healthy => Exit::Degraded,
        Some(_) => Exit::Ok,
    };
    Ok((status, exit))
}

impl Status {
    /// Why the node is not healthy; none: it is.
    pub(super) fn reasons(&self) -> &[String] {
        &self.cluster.reasons
    }

    /// What one may want to know, though nothing is wrong.
    pub(super) fn notes(&self) -> &[String] {
        &self.cluster.notes
    }

    fn of(
        config: &Config,
        standing: &Result<Standing, IdentityError>,
        reach: &Reach,
        answer: Option<&MetaStatus>,
        nodes: Vec<Server>,
        troubles: Vec<String>,
        notes: Vec<String>,
    ) -> Status {
        let mut reasons = troubles;
        reasons.extend(answer.into_iter().flat_map(|answer| answer.reasons.clone()));
        match (answer, standing) {
            (None, Err(error)) => reasons.push(error.to_string()),
            (None, Ok(standing)) if reach.as_remote().is_some() => {
                reasons.push(nobody(config, standing));
            }
            (None, Ok(_)) => reasons.push("no daemon runs".to_owned()),
            // That of another machine was asked for.
            (
                Some(_),
                Err(IdentityError::NotInitialised { .. } | IdentityError::NotJoined { .. }),
            ) => {}
            // Whoever may ask the daemons need not be allowed to look into their directory.
            (Some(_), Err(error)) if !error.is_permission() => reasons.push(error.to_string()),
            _ => {}
        }
        if let Some(answer) = answer {
            match &answer.chunkd {
                // wolfdisk-meta passes on what it has heard itself.
                Some(chunkd) => {
                    let new = chunkd
                        .reasons
                        .iter()
                        .filter(|it| !answer.reasons.contains(it));
                    reasons.extend(new.cloned());
                }
                None => reasons.push("wolfdisk-chunkd does not answer".to_owned()),
            }
        }
        let (id, role, volume) = match standing {
            Ok(Standing::Node(own)) => (
                Some(own.node.to_string()),
                config.node.role.as_str(),
                Some(own.volume),
            ),
            Ok(Standing::Member(own)) => (Some(own.name.clone()), own.kind.as_str(), own.cluster),
            Err(_) => (
                answer.map(|answer| answer.node.clone()),
                config.node.role.as_str(),
                None,
            ),
        };
        let is_member = matches!(standing, Ok(Standing::Member(_)));
        let state = match answer {
            Some(_) if is_member => "connected".to_owned(),
            Some(answer) => answer.state.clone(),
            None if is_member => "disconnected".to_owned(),
            None => "stopped".to_owned(),
        };
        let answered = reach.as_remote().and_then(|remote| remote.answered());
        let chunkd = answer.and_then(|answer| answer.chunkd.as_ref());
        let leads = |answer: &&MetaStatus| answer.state == "leader";
        Status {
            node: Node {
                id,
                role: role.to_owned(),
                state,
            },
            cluster: Cluster {
                id: volume.map(|volume| volume.to_string()),
                leader: answer.filter(leads).map(|answer| answer.node.clone()),
                generation: answer.map(|answer| answer.generation),
                version: answer.map(|answer| answer.version),
                mode: config.replication.mode.as_str().to_owned(),
                healthy: reasons.is_empty(),
                reasons,
                notes: answer
                    .map(|answer| answer.notes.clone())
                    .into_iter()
                    .flatten()
                    .chain(notes)
                    .collect(),
            },
            connection: answered.map(|(address, welcome)| Connection {
                address: address.to_string(),
                node: welcome.node,
                release: welcome.release,
            }),
            nodes,
            mounts: mounts_of(reach, config.paths().run_dir(), answer),
            chunks: Chunks {
                by_copies: chunkd
                    .map(|chunkd| ("1".to_owned(), chunkd.chunks))
                    .into_iter()
                    .collect(),
                damaged: chunkd.map_or(0, |chunkd| chunkd.damaged_chunks),
            },
            scrub: chunkd
                .and_then(|chunkd| chunkd.scrub.as_ref())
                .map(Scrub::of),
            capacity: chunkd.map(|chunkd| Capacity {
                total: chunkd.disk_total_bytes,
                used: chunkd.segment_bytes,
                free: chunkd.disk_free_bytes,
            }),
            config: config.file.as_ref().map(|file| file.display().to_string()),
            data_dir: config.node.data_dir.display().to_string(),
        }
    }

    fn for_people(&self, config: &Config, no_color: bool) -> String {
        let health = match (self.node.state.as_str(), self.cluster.healthy) {
            ("stopped", _) => verdict("not running", false, no_color),
            ("disconnected", _) => verdict("not connected", false, no_color),
            (_, true) => verdict("healthy", true, no_color),
            (_, false) => verdict("degraded", false, no_color),
        };
        let id = self.node.id.as_deref().unwrap_or("(not initialised)");
        let mut lines = vec![
            format!(
                "node      {id}, role {}, {}",
                self.node.role, self.node.state
            ),
            format!("health    {health}"),
        ];
        lines.extend(
            self.cluster
                .reasons
                .iter()
                .map(|reason| format!("          {reason}")),
        );
        let notes = self.cluster.notes.iter();
        lines.extend(notes.map(|note| format!("note      {note}")));
        if let Some(to) = &self.connection {
            lines.push(format!(
                "connected to {} at {}, release {}",
                to.node, to.address, to.release
            ));
        }
        if let Some(volume) = &self.cluster.id {
            lines.push(format!("volume    {volume}, mode {}", self.cluster.mode));
        }
        if let (Some(version), Some(generation)) = (self.cluster.version, self.cluster.generation) {
            lines.push(format!("version   {version} of generation {generation}"));
        }
        if let Some(capacity) = &self.capacity {
            lines.push(format!(
                "capacity  {} used, {} free of {}",
                bytes(capacity.used),
                bytes(capacity.free),
                bytes(capacity.total)
            ));
        }
        if let Some(scrub) = &self.scrub {
            lines.push(format!("scrub     {}", scrub.for_people()));
        }
        lines.push(format!("data      {}", self.data_dir));
        lines.push(format!(
            "config    {}",
            self.config.as_deref().unwrap_or("no file: all is default")
        ));
        match self.mounts.as_slice() {
            [] => lines.push(format!(
                "mounts    none (configured: {})",
                config.mount.path.display()
            )),
            mounts => lines.extend(mounts.iter().map(|mount| match mount.pid {
                Some(pid) => format!("mount     {} (process {pid})", mount.path),
                None => format!("mount     {}", mount.path),
            })),
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Scrub {
    fn of(status: &ScrubStatus) -> Scrub {
        Scrub {
            enabled: status.enabled,
            bytes_per_second: status.bytes_per_second,
            due_s: status.due_s,
            running: status.running.then_some(ScrubPass {
                began_s: status.began_s,
                ended_s: None,
                bytes: status.done_bytes,
                damaged: None,
                healed: None,
            }),
            last: (status.last_ended_s > 0).then_some(ScrubPass {
                began_s: status.last_began_s,
                ended_s: Some(status.last_ended_s),
                bytes: status.last_bytes,
                damaged: Some(status.last_damaged),
                healed: Some(status.last_healed),
            }),
        }
    }

    fn for_people(&self) -> String {
        let now = match (&self.running, self.enabled) {
            (Some(pass), _) => format!("under way, {} read", bytes(pass.bytes)),
            (None, true) => format!("next {}", when(self.due_s)),
            (None, false) => "off".to_owned(),
        };
        match &self.last {
            None => format!("{now}; none has ended yet"),
            Some(last) => format!(
                "{now}; the last ended {}, {} read, {} chunks damaged",
                when(last.ended_s.unwrap_or_default()),
                bytes(last.bytes),
                last.damaged.unwrap_or_default()
            ),
        }
    }
}

/// A time, as a distance from now.
pub(super) fn when(time_s: u64) -> String {
    const HOUR_S: u64 = 3600;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let distance = now.abs_diff(time_s);
    let amount = match distance {
        0..60 => format!("{distance} s"),
        60..HOUR_S => format!("{} min", distance / 60),
        _ if distance < 48 * HOUR_S => format!("{} h", distance / HOUR_S),
        _ => format!("{} days", distance / (24 * HOUR_S)),
    };
    match time_s > now {
        true => format!("in {amount}"),
        false => format!("{amount} ago"),
    }
}

/// The mounts that are in the kernel's table and have a session with this node; on a machine that has no node, those of its
/// data directory, which need nobody's answer.
fn mounts_of(reach: &Reach, run_dir: &Path, answer: Option<&MetaStatus>) -> Vec<Mount> {
    // Without the table the sessions alone are the best answer there is.
    let table = mounts::ours().unwrap_or_default();
    if reach.as_remote().is_some() {
        let served = table.iter().filter_map(|path| {
            let pid = users::server_of(path)?.pid;
            run_dir
                .join(format!("fuse.{pid}.stats"))
                .exists()
                .then(|| Mount {
                    path: path.display().to_string(),
                    pid: Some(pid),
                })
        });
        return served.collect();
    }
    let sessions = answer
        .map(|answer| answer.sessions.as_slice())
        .unwrap_or_default();
    let mounted = sessions.iter().filter(|session| {
        session.frontend == "fuse"
            && table
                .iter()
                .any(|path| path.as_os_str() == session.place.as_str())
    });
    mounted
        .map(|session| Mount {
            path: session.place.clone(),
            pid: Some(session.pid),
        })
        .collect()
}
