//! Every field there is: section, name, explanation, default, what is allowed. The one source of the
//! defaults, of the example file, of the reference and of what messages call right.

use Reader::{Chunkd, Ctl, Fuse, Meta, S3};

/// What holds when a field is not given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preset {
    /// This TOML value.
    Is(&'static str),
    /// Something that depends on the machine or on other fields: a TOML value to show, and what holds.
    Depends(&'static str, &'static str),
}

/// One field of the file.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// Lines of explanation, as in the example file.
    pub(super) about: &'static [&'static str],
    pub(super) preset: Preset,
    /// Completes "allowed: ..".
    pub(super) allowed: &'static str,
    /// Whom it makes a difference to.
    pub(super) readers: &'static [Reader],
}

/// A program that does something else when a field does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Meta,
    Chunkd,
    Fuse,
    S3,
    Ctl,
}

impl Reader {
    pub(super) fn name(self) -> &'static str {
        match self {
            Reader::Meta => "wolfdisk-meta",
            Reader::Chunkd => "wolfdisk-chunkd",
            Reader::Fuse => "wolfdisk-fuse",
            Reader::S3 => "wolfdisk-s3",
            Reader::Ctl => "wolfdiskctl",
        }
    }
}

/// One section of the file.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

macro_rules! fields {
    ($($(#[doc = $about:literal])+ $name_const:ident: $section:literal $name:literal = $preset:expr, $allowed:expr, $readers:expr;)*) => {
        $(
            $(#[doc = $about])+
            pub(super) const $name_const: Field = Field {
                section: $section,
                name: $name,
                about: &[$($about),+],
                preset: $preset,
                allowed: $allowed,
                readers: $readers,
            };
        )*
        /// All fields, in the order of the example file.
        pub(super) const FIELDS: &[Field] = &[$($name_const),*];
    };
}

/// All sections, in the order of the example file.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "node",
        about: "This machine.",
    },
    Section {
        name: "cluster",
        about: "How nodes find each other and who leads.",
    },
    Section {
        name: "replication",
        about: "How many copies of the data there are, and in what pieces.",
    },
    Section {
        name: "cache",
        about: "What a mount keeps in memory.",
    },
    Section {
        name: "mount",
        about: "Where the files appear on this machine.",
    },
    Section {
        name: "scrub",
        about: "Reading everything that is stored, to find damage before somebody needs the data.",
    },
    Section {
        name: "s3",
        about: "The S3 endpoint.",
    },
    Section {
        name: "admin",
        about: "Metrics and health for programs, on loopback.",
    },
    Section {
        name: "log",
        about: "What the daemons say on standard error.",
    },
];

const PORT: &str = "an IP address and a port, as \"0.0.0.0:9500\"";
const BOOL: &str = "true or false";
const PATH: &str = "an absolute path";
const TEXT: &str = "a text that is not empty";
const ALL: &[Reader] = &[Meta, Chunkd, Fuse, S3, Ctl];
/// It is checked, and kept for what a later release does.
const NOBODY: &[Reader] = &[];

fields! {
    /// Name of this node. The lowest name leads.
    NODE_ID: "node" "id" = Preset::Depends("\"alpha\"", "the host name"), crate::node_id::ALLOWED,
        &[Meta, Chunkd, Ctl];
    /// "auto" and "leader" nodes vote and may lead, "leader" ones before all others; "follower" nodes
    /// vote and never lead. A "client" holds nothing: it uses the nodes of a cluster that it joined.
    ROLE: "node" "role" = Preset::Is("\"auto\""), "\"auto\", \"leader\", \"follower\" or \"client\"",
        ALL;
    /// Where other nodes reach wolfdisk-meta.
    BIND: "node" "bind" = Preset::Is("\"0.0.0.0:9500\""), PORT,
        &[Meta];
    /// Where other nodes reach wolfdisk-chunkd.
    CHUNK_BIND: "node" "chunk_bind" = Preset::Depends("\"0.0.0.0:9502\"", "two ports above `bind`"), PORT,
        &[Meta, Chunkd];
    /// Everything that this node stores.
    DATA_DIR: "node" "data_dir" =
        Preset::Depends("\"/var/lib/wolfdisk\"", "this for root, ~/.local/share/wolfdisk for others"), PATH,
        ALL;

    /// How nodes find each other: a multicast group, or "none" for the list of peers alone. Finding
    /// grants nothing: nodes prove that they hold the cluster's key.
    DISCOVERY: "cluster" "discovery" = Preset::Is("\"udp://239.255.0.1:9501\""),
        "\"none\" or a multicast group and a port, as \"udp://239.255.0.1:9501\"",
        &[Meta, Fuse, S3, Ctl];
    /// Nodes to ask besides those that are discovered.
    PEERS: "cluster" "peers" = Preset::Is("[]"), "a list of host and port, as [\"beta:9500\"]",
        &[Fuse, S3, Ctl];
    /// When a half of the nodes is gone: "lowest-id" goes on on the side of the lowest name, "quorum"
    /// stays read-only.
    ELECTION: "cluster" "election" = Preset::Is("\"lowest-id\""), "\"lowest-id\" or \"quorum\"",
        NOBODY;
    /// How often the leader is heard of.
    HEARTBEAT_MS: "cluster" "heartbeat_ms" = Preset::Is("200"), "a whole number from 50 to 10000",
        NOBODY;
    /// Silence after which another node takes the lead.
    LEADER_TIMEOUT_MS: "cluster" "leader_timeout_ms" = Preset::Is("1000"),
        "a whole number from 200 to 60000, at least three times heartbeat_ms",
        NOBODY;
    /// Silence after which a node stops counting for majorities.
    REMOVE_VOTER_AFTER_S: "cluster" "remove_voter_after_s" = Preset::Is("30"), "a whole number from 5 to 86400",
        NOBODY;

    /// "shared": one copy, on the node that led when it was written. "replicated": `factor` copies.
    MODE: "replication" "mode" = Preset::Is("\"shared\""), "\"shared\" or \"replicated\"",
        &[Meta, Ctl];
    /// Copies of each chunk in mode "replicated".
    FACTOR: "replication" "factor" = Preset::Is("3"), "a whole number from 1 to 16",
        NOBODY;
    /// Copies that must be on stable storage before a write is acknowledged.
    MIN_COPIES: "replication" "min_copies" = Preset::Is("1"), "a whole number from 1 to factor",
        NOBODY;
    /// Largest piece of a file, for data written from now on.
    CHUNK_SIZE: "replication" "chunk_size" = Preset::Is("4194304"), "a power of two from 65536 to 4194304",
        &[Meta];
    /// How long a node may be away before its copies are made again elsewhere.
    REPAIR_AFTER_S: "replication" "repair_after_s" = Preset::Is("300"), "a whole number from 0 to 604800",
        NOBODY;

    /// Memory of one mount for content of small files; as much again for chunks where the node is on another machine; and of
    /// a node for chunks that are on other nodes.
    CACHE_SIZE_BYTES: "cache" "size_bytes" = Preset::Is("25165824"),
        "a whole number from 16777216 to 1099511627776",
        &[Chunkd, Fuse, S3];

    /// The mount point.
    MOUNT_PATH: "mount" "path" = Preset::Depends("\"/mnt/wolfdisk\"", "this for root, ~/wolfdisk for others"), PATH,
        &[Fuse, Ctl];
    /// Whether other users than the one who mounts may enter; their rights are checked as anywhere.
    ALLOW_OTHER: "mount" "allow_other" = Preset::Is("true"), BOOL,
        &[Fuse];

    /// Whether wolfdisk-chunkd does it.
    SCRUB_ENABLED: "scrub" "enabled" = Preset::Is("true"), BOOL,
        &[Chunkd];
    /// How much of the disk it takes. At the default a terabyte takes 18 hours.
    SCRUB_BYTES_PER_SECOND: "scrub" "bytes_per_second" = Preset::Is("16777216"),
        "a whole number from 65536 to 10737418240",
        &[Chunkd];
    /// From the beginning of one pass to that of the next; 0: one after the other.
    SCRUB_INTERVAL_HOURS: "scrub" "interval_hours" = Preset::Is("336"), "a whole number from 0 to 8760",
        &[Chunkd];

    /// Whether this node answers S3.
    S3_ENABLED: "s3" "enabled" = Preset::Is("false"), BOOL,
        &[Ctl];
    /// Where it answers. Anywhere but loopback needs an access key, or `anonymous`.
    S3_BIND: "s3" "bind" = Preset::Is("\"127.0.0.1:9878\""), PORT,
        &[S3, Ctl];
    /// The access key.
    S3_ACCESS_KEY: "s3" "access_key" = Preset::Depends("\"\"", "none"), TEXT,
        &[S3, Ctl];
    /// Its secret. Keep this file readable by its owner only when it holds one.
    S3_SECRET_KEY: "s3" "secret_key" = Preset::Depends("\"\"", "none"), TEXT,
        &[S3, Ctl];
    /// What requests without a signature may do, by whoever reaches the address. "off": nothing, but without an access key
    /// programs of this machine may do everything.
    S3_ANONYMOUS: "s3" "anonymous" = Preset::Is("\"off\""), "\"off\", \"read-only\" or \"read-write\"",
        &[S3];
    /// Domains under which each bucket has a host of its own, `bucket.s3.example.com`, beside the path style, which is
    /// understood under every host. Their names and those below them must lead here.
    S3_DOMAINS: "s3" "domains" = Preset::Is("[]"), "a list of domains, as [\"s3.example.com\"]",
        &[S3];
    /// User and group that own what S3 clients write.
    S3_OWNER: "s3" "owner" = Preset::Depends("\"0:0\"", "who runs the node"), "numbers of a user and a group, as \"1000:1000\"",
        &[S3];
    /// An upload in parts is aborted when nobody has put a part to it for so long.
    S3_ABANDONED_UPLOAD_S: "s3" "abandoned_upload_after_s" = Preset::Is("604800"), "a whole number from 1 to 315360000",
        &[S3];
    /// How often it is looked for objects and uploads whose life is over by the lifecycle rules of their buckets. A day
    /// of S3 ends at midnight UTC, so oftener than hourly is for tests.
    S3_LIFECYCLE_INTERVAL_S: "s3" "lifecycle_interval_s" = Preset::Is("3600"), "a whole number from 1 to 86400",
        &[S3];
    /// Certificate chain (PEM) for HTTPS, if wolfdisk-s3 was built with it; the usual one is not, and stands behind a
    /// reverse proxy. It is read anew when it is renewed.
    S3_TLS_CERT: "s3" "tls_cert" = Preset::Depends("\"/etc/wolfdisk/s3.crt\"", "none"), PATH,
        &[S3, Ctl];
    /// Its private key (PEM), which its owner alone may read.
    S3_TLS_KEY: "s3" "tls_key" = Preset::Depends("\"/etc/wolfdisk/s3.key\"", "none"), PATH,
        &[S3, Ctl];

    /// Where wolfdisk-meta answers; wolfdisk-chunkd does one port above, a mount two, wolfdisk-s3 three. Of several nodes on one
    /// machine each needs another. Of several mounts the first has it; the mount option admin= names an address for another.
    ADMIN_BIND: "admin" "bind" = Preset::Is("\"127.0.0.1:9510\""), PORT,
        &[Meta, Chunkd, Fuse, S3];

    /// What is worth a line. The environment variable RUST_LOG wins.
    LOG_LEVEL: "log" "level" = Preset::Is("\"info\""), "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
        &[Meta, Chunkd, Fuse, S3];
}
