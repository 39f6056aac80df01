//! Why a command failed, in one line with the next step, and the exit code that goes with it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use wolfdisk_common::access_key::rights::BadRights;
use wolfdisk_common::bucket::BucketName;
use wolfdisk_common::bucket_map::{BadFolderPath, FolderPath};
use wolfdisk_common::exit::{Exit, code_of, one_line};
use wolfdisk_common::join_token::TokenError;
use wolfdisk_common::node_id::{BadNodeId, NodeId};
use wolfdisk_proto::Failure;

use crate::supervisor::SupervisorError;

/// What the commands themselves find wrong. Configuration, identity and locks have errors of their own.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// The path is no mount of ours.
    #[error("{} is not a WolfDisk mount; see: wolfdiskctl status", .0.display())]
    NotMounted(PathBuf),
    /// Somebody uses the mount.
    #[error("{} is in use by {users}; end that, or add --lazy", path.display())]
    Busy {
        /// The mount point.
        path: PathBuf,
        /// Names and pids.
        users: String,
    },
    /// The mount cannot be taken off.
    #[error("cannot unmount {}", path.display())]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was taken off, but its process is still writing back.
    #[error("{} is off the tree, but process {pid} is still writing back; wait for it", path.display())]
    StillWriting {
        /// The mount point.
        path: PathBuf,
        /// Who writes.
        pid: u32,
    },
    /// A directory cannot be made.
    #[error("cannot create {}; create it, or choose another", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whether there is a cluster is not known, and this machine has nothing yet.
    #[error("cannot listen for a cluster on this network")]
    Listen(#[source] io::Error),
    /// There is one, and this machine has nothing yet.
    #[error(
        "there is a cluster on this network (node {node}{}), and this machine is none of it. Join it: run wolfdiskctl \
         join-token on {node}, then here wolfdiskctl init --join TOKEN -d {dir}; or found another one beside it: \
         wolfdiskctl init -d {dir}",
        at(*address),
        dir = dir.display()
    )]
    ClusterHere {
        /// Who was heard.
        node: NodeId,
        /// Where, if it says so.
        address: Option<SocketAddr>,
        /// The data directory that was to be a new node's.
        dir: PathBuf,
    },
    /// There may be one, and this machine has nothing yet.
    #[error(
        "this machine has nothing yet, and none of its cluster.peers ({peers}) answers: {why}. Where others are named it founds no \
         cluster by itself. Start one of them, then join it: run wolfdiskctl join-token there, then here wolfdiskctl init --join \
         TOKEN -d {dir}; or, if this is the first machine, found the cluster here: wolfdiskctl init -d {dir}",
        dir = dir.display()
    )]
    PeersSilent {
        /// Who is named.
        peers: String,
        /// What became of the last one.
        why: String,
        /// The data directory that was to be a new node's.
        dir: PathBuf,
    },
    /// A mount that tells nothing to this node's tools.
    #[error(
        "{} tells no counters in {}; is it of another node (give its -d DIR), or another user's?",
        mount.display(),
        run_dir.display()
    )]
    TellsNothing {
        /// The mount point.
        mount: PathBuf,
        /// Where the sockets of the node are.
        run_dir: PathBuf,
    },
    /// There is no mount to look at.
    #[error("no mount of {} is on this machine; mount it: wolfdiskctl mount -d {}", .0.display(), .0.display())]
    NoMounts(PathBuf),
    /// No daemon answers.
    #[error("no node runs on {}; start it: wolfdiskctl up -d {}", .0.display(), .0.display())]
    NotRunning(PathBuf),
    /// No node answers to a machine that uses others'.
    #[error(
        "no node of the cluster answers; is one running, and can this machine reach it? see: wolfdiskctl status -d {}",
        .0.display()
    )]
    Unreachable(PathBuf),
    /// What is to be done with data is asked of a machine that has none.
    #[error("{} holds no data, it uses other nodes'; run this on one of them", .0.display())]
    NoData(PathBuf),
    /// A token that is none.
    #[error(transparent)]
    Token(TokenError),
    /// The cluster did not take this machine in.
    #[error("this machine could not join")]
    Join(#[source] Failure),
    /// A node said no.
    #[error("it was not done")]
    Refused(#[source] Failure),
    /// There is none of that name or number.
    #[error("there is no member {0}; see: wolfdiskctl node list")]
    NoMember(String),
    /// Another command.
    #[error("--node is for status, list, stats, node and join-token")]
    NodeOption,
    /// Root is to run daemons on data that is another user's.
    #[error(
        "the daemons of {} do not run, and run as user {user}, whose it is; start them: systemctl start wolfdisk; to have it before a \
         mount of /etc/fstab, add x-systemd.requires=wolfdisk.service to its options",
        dir.display()
    )]
    OthersData {
        /// The data directory.
        dir: PathBuf,
        /// Its owner, by number.
        user: u32,
    },
    /// Neither a mount nor an endpoint is wanted.
    #[error("there is nothing to run: choose a mount point with -m, or leave S3 on")]
    NothingToRun,
    /// No daemon answers, and its data is to be checked.
    #[error(
        "no node runs on {}, or not all of it; check its data as it is: wolfdiskctl check --offline -d {}",
        .0.display(),
        .0.display()
    )]
    NotRunningToCheck(PathBuf),
    /// The data is in use.
    #[error("a node runs on {}: check it as it runs, without --offline, or stop it", .0.display())]
    Running(PathBuf),
    /// The data is in use, and to be exported as it lies there.
    #[error("a node runs on {}: export its index as it runs, without --offline", .0.display())]
    RunningToExport(PathBuf),
    /// No daemon answers, and its index is to be exported.
    #[error(
        "no node runs on {}; export its index as it is: wolfdiskctl index export --offline FILE -d {}",
        .0.display(),
        .0.display()
    )]
    NotRunningToExport(PathBuf),
    /// The data is in use, and its index is to be another.
    #[error("a node runs on {}: stop it, and unmount other machines, before its index is replaced", .0.display())]
    RunningToImport(PathBuf),
    /// wolfdisk-meta ended, or was started anew, while it was asked.
    #[error("wolfdisk-meta was started anew while its index was exported; export it again")]
    ExportBrokenOff,
    /// Somebody else exports.
    #[error("another export is under way, or was given up less than 30 s ago; wait for it")]
    ExportRuns,
    /// Somebody wants it to end.
    #[error("the export was broken off, and no file is left")]
    ExportStopped,
    /// wolfdisk-meta could not finish it.
    #[error("the index could not be exported: {0}")]
    ExportFailed(String),
    /// It is there, and nobody said that it may go.
    #[error("{} exists; choose another name, or add --force", .0.display())]
    FileExists(PathBuf),
    /// A directory, a device or the like.
    #[error("{} is no file that could be written; choose another name", .0.display())]
    NotAFile(PathBuf),
    /// An export is no text.
    #[error("an export is no text for a terminal; name a file, or use a pipe")]
    BytesOnTerminal,
    /// A daemon ended, or was started anew, while it was asked.
    #[error("a daemon was started anew while it was checked; run the check again")]
    CheckBrokenOff,
    /// A check without repairs is under way.
    #[error("a check that only looks is under way; wait for it, then repair")]
    CheckRuns,
    /// Somebody wants it to end.
    #[error("the check was broken off")]
    CheckStopped,
    /// A daemon could not finish its part.
    #[error("the check could not be finished: {0}")]
    CheckFailed(String),
    /// The answer to a check is none.
    #[error("a daemon does not answer as it should")]
    AskCheck(#[source] Failure),
    /// The daemon's answer is none.
    #[error("wolfdisk-meta does not answer as it should")]
    Ask(#[source] Failure),
    /// The volume refused or failed.
    #[error("the volume did not do it")]
    Volume(#[source] wolfdisk_client::Error),
    /// Buckets that a key cannot be limited to.
    #[error("--bucket: {0}")]
    Rights(#[source] BadRights),
    /// Nothing to draw a key with.
    #[error("the system has no random bytes")]
    Random(#[source] io::Error),
    /// There is none to be deleted.
    #[error("there is no access key {0}; see: wolfdiskctl s3 key list")]
    NoKey(String),
    /// A path that leads to no folder of the volume.
    #[error("the folder cannot be named so")]
    FolderPath(#[source] BadFolderPath),
    /// Nothing to be mapped.
    #[error(
        "{0} is no folder of the volume: make it first, or name it from the root of the volume, without symbolic links"
    )]
    NoFolder(FolderPath),
    /// The name is that of a bucket.
    #[error(
        "{0} is a directory at the top of the volume and a bucket already; choose another name"
    )]
    BucketTaken(BucketName),
    /// It is mapped.
    #[error("bucket {0} is mapped already; see: wolfdiskctl s3 bucket list")]
    BucketMapped(BucketName),
    /// It is not.
    #[error("bucket {0} is not mapped; see: wolfdiskctl s3 bucket list")]
    BucketNotMapped(BucketName),
    /// The background process ended before the mount was usable; it said why.
    #[error("{message}")]
    Background {
        /// Its last line.
        message: String,
        /// Its exit code.
        exit: u8,
    },
    /// The file that a developer is to see.
    #[error("cannot make {}; name a file that is not there yet", path.display())]
    Bundle {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Files of the system.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// `read`, `write`, ..
        verb: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn at(address: Option<SocketAddr>) -> String {
    address.map_or(String::new(), |address| format!(" at {address}"))
}

/// A node id on the command line that is none.
#[derive(Debug, thiserror::Error)]
#[error("--id: {0}")]
pub struct BadId(pub BadNodeId);

/// Ends `main`: prints why it failed and gives the code.
pub fn finish(outcome: anyhow::Result<Exit>) -> ExitCode {
    let error = match outcome {
        Ok(exit) => return exit.into(),
        Err(error) => error,
    };
    if let Some(failed @ SupervisorError::Start { .. }) = error.downcast_ref() {
        // The daemon itself has said why, on the same standard error.
        return ExitCode::from(failed.code());
    }
    if let Some(CtlError::Background { message, exit }) = error.downcast_ref() {
        // The line names the program that failed.
        eprintln!("{message}");
        return ExitCode::from(*exit);
    }
    eprintln!("wolfdiskctl: {}", one_line(error.as_ref()));
    match error.downcast_ref() {
        Some(
            CtlError::NotRunning(_)
            | CtlError::NotRunningToCheck(_)
            | CtlError::NotRunningToExport(_)
            | CtlError::Unreachable(_),
        ) => Exit::NotRunning.into(),
        Some(
            CtlError::NotMounted(_)
            | CtlError::TellsNothing { .. }
            | CtlError::NoMounts(_)
            | CtlError::NoData(_)
            | CtlError::Token(_)
            | CtlError::NoMember(_)
            | CtlError::NodeOption
            | CtlError::NothingToRun
            | CtlError::NotAFile(_)
            | CtlError::BytesOnTerminal
            | CtlError::Rights(_)
            | CtlError::NoKey(_)
            | CtlError::FolderPath(_)
            | CtlError::NoFolder(_)
            | CtlError::BucketTaken(_)
            | CtlError::BucketMapped(_)
            | CtlError::BucketNotMapped(_)
            | CtlError::ClusterHere { .. }
            | CtlError::PeersSilent { .. },
        ) => Exit::Usage.into(),
        Some(
            CtlError::Busy { .. }
            | CtlError::Join(_)
            | CtlError::Listen(_)
            | CtlError::Refused(_)
            | CtlError::Running(_)
            | CtlError::RunningToExport(_)
            | CtlError::RunningToImport(_)
            | CtlError::ExportBrokenOff
            | CtlError::ExportRuns
            | CtlError::ExportStopped
            | CtlError::ExportFailed(_)
            | CtlError::FileExists(_)
            | CtlError::CheckBrokenOff
            | CtlError::CheckRuns
            | CtlError::CheckStopped
            | CtlError::CheckFailed(_)
            | CtlError::AskCheck(_)
            | CtlError::Unmount { .. }
            | CtlError::OthersData { .. }
            | CtlError::StillWriting { .. }
            | CtlError::Create { .. }
            | CtlError::Ask(_)
            | CtlError::Volume(_)
            | CtlError::Random(_)
            | CtlError::Background { .. }
            | CtlError::Bundle { .. }
            | CtlError::Io { .. },
        ) => Exit::Failed.into(),
        None if error.is::<BadId>() => Exit::Usage.into(),
        None => code_of(error.as_ref()).into(),
    }
}
