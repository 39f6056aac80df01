//! The validated settings: whoever holds a [`Config`] need check nothing again.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Value;

use super::file::{File, full_name};
use super::values::{self, Anonymous, Discovery, Election, Mode, Peer, Role, Secret};
use super::{Arguments, ConfigError, schema};
use crate::limits::{CHUNK_SIZE_MAX_BYTES, CHUNK_SIZE_MIN_BYTES};
use crate::node_id::NodeId;
use crate::paths::{self, Paths};

/// Everything that is configured about one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read; `None`: there is none, all is default.
    pub file: Option<PathBuf>,
    /// `[node]`.
    pub node: Node,
    /// `[cluster]`.
    pub cluster: Cluster,
    /// `[replication]`.
    pub replication: Replication,
    /// `[cache]`.
    pub cache: Cache,
    /// `[mount]`.
    pub mount: Mount,
    /// `[scrub]`.
    pub scrub: Scrub,
    /// `[s3]`.
    pub s3: S3,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
    written: Written,
}

/// What was read, for comparing. It may hold a secret: nothing shows it.
#[derive(Clone)]
struct Written(Arc<File>);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

/// This machine.
#[derive(Clone, Debug)]
pub struct Node {
    /// The id, where one is configured. An initialised data directory has one of its own, which must
    /// be the same; see [`crate::identity`].
    pub id: Option<NodeId>,
    /// What the node may become.
    pub role: Role,
    /// TCP address of wolfdisk-meta; port 0: whichever is free.
    pub bind: SocketAddr,
    /// Somebody chose it; else it is that of every node.
    pub bind_is_chosen: bool,
    /// TCP address of wolfdisk-chunkd.
    pub chunk_bind: SocketAddr,
    /// Absolute path of the data directory.
    pub data_dir: PathBuf,
}

/// How nodes find each other and who leads.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Beacons.
    pub discovery: Discovery,
    /// Nodes to ask besides.
    pub peers: Vec<Peer>,
    /// Who goes on when a half is gone.
    pub election: Election,
    /// Between two signs of life of the leader.
    pub heartbeat: Duration,
    /// Silence after which another takes the lead.
    pub leader_timeout: Duration,
    /// Silence after which a voter leaves the membership.
    pub remove_voter_after: Duration,
}

/// How many copies there are.
#[derive(Clone, Debug)]
pub struct Replication {
    /// One copy or `factor`.
    pub mode: Mode,
    /// Copies in mode `replicated`.
    pub factor: u32,
    /// Copies before a write is acknowledged; at most `factor`.
    pub min_copies: u32,
    /// Power of two within the limits.
    pub chunk_size_bytes: usize,
    /// How long a holder may be away.
    pub repair_after: Duration,
}

/// Memory of a mount.
#[derive(Clone, Debug)]
pub struct Cache {
    /// `None`: the front-end chooses.
    pub size_bytes: Option<u64>,
}

/// The mount that `up` makes.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Absolute.
    pub path: PathBuf,
    /// Somebody chose it; else it is where everybody mounts.
    pub is_chosen: bool,
    /// Whether other users may enter.
    pub allow_other: bool,
}

/// Reading everything that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrub {
    /// Whether it is done.
    pub enabled: bool,
    /// At the most.
    pub bytes_per_second: u64,
    /// From the beginning of one pass to that of the next.
    pub interval: Duration,
}

/// The S3 endpoint.
#[derive(Clone, Debug)]
pub struct S3 {
    /// Whether there is one.
    pub enabled: bool,
    /// Its address.
    pub bind: SocketAddr,
    /// Access key and its secret.
    pub keys: Option<(String, Secret)>,
    /// What unsigned requests may do.
    pub anonymous: Anonymous,
    /// Domains whose subdomains are buckets, in lower case.
    pub domains: Vec<String>,
    /// User and group of what is written.
    pub owner: Option<(u32, u32)>,
    /// How long an upload in parts may rest.
    pub abandoned_upload: Duration,
    /// How often lifecycle rules are followed.
    pub lifecycle_interval: Duration,
    /// Certificate chain and private key files.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Metrics and health.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    /// Of wolfdisk-meta.
    pub bind: SocketAddr,
    /// Somebody chose it, and with it the others; else they are those of every node.
    pub bind_is_chosen: bool,
    /// Of wolfdisk-chunkd.
    pub chunk_bind: SocketAddr,
    /// Of a mount; of several the first has it.
    pub fuse_bind: SocketAddr,
    /// Of wolfdisk-s3.
    pub s3_bind: SocketAddr,
}

/// Log lines.
#[derive(Clone, Debug)]
pub struct Log {
    /// The least severe level that is written.
    pub level: tracing::Level,
}

impl Config {
    /// Finds and reads the file, checks it, applies the arguments and fills in the defaults.
    ///
    /// # Errors
    /// One line that names file, field, value and what is allowed.
    pub fn load(arguments: &Arguments) -> Result<Config, ConfigError> {
        match arguments.read_file()? {
            None => Config::from_file(arguments, None, File::empty()),
            Some((path, text)) => {
                let file = File::parse(&path, &text)?;
                let path = paths::absolute(&path);
                Config::from_file(arguments, Some(path), file)
            }
        }
    }

    /// Where this node keeps its files and sockets.
    pub fn paths(&self) -> Paths {
        Paths::new(self.node.data_dir.clone())
    }

    /// The settings, as `section.name`, about which `newer` says something else, in the order of the example file.
    pub fn changed(&self, newer: &Config) -> Vec<String> {
        let (old, new) = (&self.written.0, &newer.written.0);
        let changed = schema::FIELDS
            .iter()
            .filter(|field| old.value(field) != new.value(field));
        changed.map(full_name).collect()
    }

    fn from_file(
        arguments: &Arguments,
        path: Option<PathBuf>,
        file: File,
    ) -> Result<Config, ConfigError> {
        let written = Written(Arc::new(file));
        let file = &*written.0;
        Ok(Config {
            file: path,
            node: node(file, arguments.data_dir.as_deref())?,
            cluster: cluster(file)?,
            replication: replication(file)?,
            cache: Cache {
                size_bytes: file.optional(
                    &schema::CACHE_SIZE_BYTES,
                    values::number(16 << 20..=1 << 40),
                )?,
            },
            mount: mount(file, arguments.mount.as_deref())?,
            scrub: scrub(file)?,
            s3: s3(file)?,
            admin: admin(file)?,
            log: Log {
                level: file.required(&schema::LOG_LEVEL, values::level)?,
            },
            written: written.clone(),
        })
    }
}

fn node(file: &File, argument: Option<&Path>) -> Result<Node, ConfigError> {
    let bind = file.required(&schema::BIND, values::listening)?;
    let configured = file.optional(&schema::DATA_DIR, values::path)?;
    let id = |value: &Value| value.as_str().and_then(|text| NodeId::parse(text).ok());
    Ok(Node {
        id: file.optional(&schema::NODE_ID, id)?,
        role: file.required(&schema::ROLE, Role::parse)?,
        bind,
        bind_is_chosen: file.has(&schema::BIND),
        chunk_bind: match file.optional(&schema::CHUNK_BIND, values::listening)? {
            Some(address) => address,
            None => ports_above(file, &schema::BIND, bind, 2)?,
        },
        data_dir: match (argument, configured) {
            (Some(given), _) => paths::absolute(given),
            (None, Some(configured)) => configured,
            (None, None) => {
                paths::default_data_dir().ok_or(ConfigError::NoHome { option: "data-dir" })?
            }
        },
    })
}

fn cluster(file: &File) -> Result<Cluster, ConfigError> {
    let heartbeat = file.required(&schema::HEARTBEAT_MS, values::millis(50..=10_000))?;
    let long_enough = |value: &Value| {
        values::millis(200..=60_000)(value).filter(|timeout| *timeout >= heartbeat * 3)
    };
    Ok(Cluster {
        discovery: file.required(&schema::DISCOVERY, Discovery::parse)?,
        peers: file.required(&schema::PEERS, values::peers)?,
        election: file.required(&schema::ELECTION, Election::parse)?,
        heartbeat,
        leader_timeout: file.required(&schema::LEADER_TIMEOUT_MS, long_enough)?,
        remove_voter_after: file
            .required(&schema::REMOVE_VOTER_AFTER_S, values::seconds(5..=86_400))?,
    })
}

fn replication(file: &File) -> Result<Replication, ConfigError> {
    let small = |range| move |value: &Value| values::number(range)(value)?.try_into().ok();
    let factor: u32 = file.required(&schema::FACTOR, small(1..=16))?;
    let chunk_size = |value: &Value| {
        let range = CHUNK_SIZE_MIN_BYTES as u64..=CHUNK_SIZE_MAX_BYTES as u64;
        values::number(range)(value)
            .filter(|size| size.is_power_of_two())
            .and_then(|size| usize::try_from(size).ok())
    };
    Ok(Replication {
        mode: file.required(&schema::MODE, Mode::parse)?,
        factor,
        min_copies: file.required(&schema::MIN_COPIES, small(1..=u64::from(factor)))?,
        chunk_size_bytes: file.required(&schema::CHUNK_SIZE, chunk_size)?,
        repair_after: file.required(&schema::REPAIR_AFTER_S, values::seconds(0..=604_800))?,
    })
}

fn mount(file: &File, argument: Option<&Path>) -> Result<Mount, ConfigError> {
    let configured = file.optional(&schema::MOUNT_PATH, values::path)?;
    Ok(Mount {
        is_chosen: argument.is_some() || configured.is_some(),
        path: match (argument, configured) {
            (Some(given), _) => paths::absolute(given),
            (None, Some(configured)) => configured,
            (None, None) => {
                paths::default_mount().ok_or(ConfigError::NoHome { option: "mount" })?
            }
        },
        allow_other: file.required(&schema::ALLOW_OTHER, Value::as_bool)?,
    })
}

fn scrub(file: &File) -> Result<Scrub, ConfigError> {
    let bytes = values::number(64 << 10..=10 << 30);
    let hours = file.required(&schema::SCRUB_INTERVAL_HOURS, values::number(0..=8760))?;
    Ok(Scrub {
        enabled: file.required(&schema::SCRUB_ENABLED, Value::as_bool)?,
        bytes_per_second: file.required(&schema::SCRUB_BYTES_PER_SECOND, bytes)?,
        interval: Duration::from_secs(hours * 3600),
    })
}

fn s3(file: &File) -> Result<S3, ConfigError> {
    let missing = |field: &schema::Field, reason: String| ConfigError::Missing {
        file: file.name.clone(),
        field: full_name(field),
        reason,
    };
    let access = file.optional(&schema::S3_ACCESS_KEY, values::text)?;
    let secret = file.optional(&schema::S3_SECRET_KEY, Secret::parse)?;
    let keys = match (access, secret) {
        (Some(access), Some(secret)) => Some((access, secret)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(missing(
                &schema::S3_SECRET_KEY,
                "s3.access_key is set".to_owned(),
            ));
        }
        (None, Some(_)) => {
            return Err(missing(
                &schema::S3_ACCESS_KEY,
                "s3.secret_key is set".to_owned(),
            ));
        }
    };
    let cert = file.optional(&schema::S3_TLS_CERT, values::path)?;
    let key = file.optional(&schema::S3_TLS_KEY, values::path)?;
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(missing(
                &schema::S3_TLS_KEY,
                "s3.tls_cert is set".to_owned(),
            ));
        }
        (None, Some(_)) => {
            return Err(missing(
                &schema::S3_TLS_CERT,
                "s3.tls_key is set".to_owned(),
            ));
        }
    };
    let enabled = file.required(&schema::S3_ENABLED, Value::as_bool)?;
    let bind = file.required(&schema::S3_BIND, values::address)?;
    let anonymous = file.required(&schema::S3_ANONYMOUS, Anonymous::parse)?;
    if keys.is_none() && anonymous == Anonymous::Off && !is_loopback(bind.ip()) {
        let reason = format!("s3.bind = \"{bind}\" is open to other machines");
        return Err(missing(&schema::S3_ACCESS_KEY, reason));
    }
    let seconds = values::number(1..=24 * 60 * 60);
    let interval = file.required(&schema::S3_LIFECYCLE_INTERVAL_S, seconds)?;
    Ok(S3 {
        enabled,
        bind,
        keys,
        anonymous,
        domains: file.required(&schema::S3_DOMAINS, values::domains)?,
        owner: file.optional(&schema::S3_OWNER, values::owner)?,
        abandoned_upload: file.required(
            &schema::S3_ABANDONED_UPLOAD_S,
            values::seconds(1..=315_360_000),
        )?,
        lifecycle_interval: Duration::from_secs(interval),
        tls,
    })
}

fn admin(file: &File) -> Result<Admin, ConfigError> {
    let bind = file.required(&schema::ADMIN_BIND, values::address)?;
    Ok(Admin {
        bind,
        bind_is_chosen: file.has(&schema::ADMIN_BIND),
        chunk_bind: ports_above(file, &schema::ADMIN_BIND, bind, 1)?,
        fuse_bind: ports_above(file, &schema::ADMIN_BIND, bind, 2)?,
        s3_bind: ports_above(file, &schema::ADMIN_BIND, bind, 3)?,
    })
}

fn ports_above(
    file: &File,
    field: &schema::Field,
    base: SocketAddr,
    distance: u16,
) -> Result<SocketAddr, ConfigError> {
    // Above any free port is any free port.
    let port = match base.port() {
        0 => Some(0),
        port => port.checked_add(distance),
    };
    let refusal = || file.refusal(field, &Value::String(base.to_string()));
    port.map(|port| SocketAddr::new(base.ip(), port))
        .ok_or_else(refusal)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
