//! `up`: the whole node in the foreground.

use std::net::SocketAddr;
use std::path::Path;

use wolfdisk_common::access_key::AccessKey;
use wolfdisk_common::config::Config;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::identity::IdentityError;
use wolfdisk_common::member::MemberKind;

use super::node::Node;
use crate::cli::{self, Global};
use crate::error::CtlError;
use crate::output::{print, say};
use crate::supervisor::{Outcome, SupervisorError};

pub(super) fn run(global: &Global, options: &cli::Up) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(options.mount.as_ref()))?;
    let mut node = Node::claim(config)?;
    let plan = Plan::of(node.config(), node.member(), options.s3)?;
    if plan.mounts {
        make_mount_point(&node.config().mount.path)?;
    }
    let s3 = plan.s3;
    // Before anything runs that would be stopped because of it.
    let key = match node.member() {
        None => key_to_show(node.config(), s3)?,
        // Keys are made on a node, for all gateways.
        Some(_) => None,
    };
    let mount_options = plan.mounts.then_some(options.options.as_slice());
    let outcome = match node.start(mount_options, s3) {
        Ok(Outcome::Ready) => {
            print(&ready(node.config(), &plan, key.as_ref()));
            say(&explanation(node.config(), node.member(), &plan));
            node.run()
        }
        Ok(early) => Ok(early),
        Err(error) => {
            // What was started before it stops too; its failure to stop is the smaller news.
            if let Err(also) = node.stop() {
                say(&also.to_string());
            }
            if let Some(failed @ SupervisorError::Start { .. }) = error.downcast_ref() {
                // The daemon's own line is far above by now: those that stopped have said so since.
                say(&format!("wolfdiskctl: {failed}"));
            }
            return Err(error);
        }
    };
    match &outcome {
        Ok(Outcome::Ended) => say("the mount was taken off; stopping"),
        Ok(Outcome::Stop | Outcome::Ready) => say("stopping"),
        Err(_) => {}
    }
    let stopped = node.stop();
    outcome?;
    stopped?;
    Ok(Exit::Ok)
}

/// Unlike `mount`, `up` makes the directory: it is the command for a machine that has nothing yet. A
/// dead mount there is the business of wolfdisk-fuse.
fn make_mount_point(path: &Path) -> Result<(), CtlError> {
    match std::fs::create_dir_all(path) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOTCONN) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(CtlError::Create {
            path: path.to_owned(),
            source,
        }),
        Ok(()) => Ok(()),
    }
}

/// What is to run beside the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) mounts: bool,
    pub(super) s3: Option<SocketAddr>,
}

impl Plan {
    pub(super) fn of(
        config: &Config,
        member: Option<&Credentials>,
        said: Option<cli::S3>,
    ) -> Result<Plan, CtlError> {
        let kind = member.map(|member| member.kind);
        // A gateway is there for S3, others that use nodes elsewhere for the mount.
        let is_gateway = kind == Some(MemberKind::Gateway);
        let by_default = match kind {
            None => config.file.is_none(),
            Some(_) => is_gateway,
        };
        let s3 = match said {
            Some(cli::S3::At(address)) => Some(address),
            Some(cli::S3::Off) => None,
            None => (config.s3.enabled || by_default).then_some(config.s3.bind),
        };
        let mounts = config.mount.is_chosen || !is_gateway;
        match (mounts, s3) {
            (false, None) => Err(CtlError::NothingToRun),
            _ => Ok(Plan { mounts, s3 }),
        }
    }
}

/// The access key that programs are to use: made at the first start, unless the configuration has one, which is not
/// shown.
fn key_to_show(
    config: &Config,
    s3: Option<SocketAddr>,
) -> Result<Option<AccessKey>, IdentityError> {
    match s3 {
        Some(_) if config.s3.keys.is_none() => AccessKey::load_or_make(&config.paths()).map(Some),
        _ => Ok(None),
    }
}

/// What programs read on standard output.
fn ready(config: &Config, plan: &Plan, key: Option<&AccessKey>) -> String {
    let mut text = "ready".to_owned();
    if plan.mounts {
        text += &format!(" mount={}", config.mount.path.display());
    }
    if let Some(address) = plan.s3 {
        text += &format!(" s3={}", url(config, address));
    }
    text.push('\n');
    if let Some(key) = key {
        let (id, secret) = (&key.id, key.secret.reveal());
        text += &format!("export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n");
    }
    text
}

/// Where S3 is answered.
fn url(config: &Config, address: SocketAddr) -> String {
    let scheme = match config.s3.tls {
        Some(_) => "https",
        None => "http",
    };
    format!("{scheme}://{address}")
}

fn explanation(config: &Config, member: Option<&Credentials>, plan: &Plan) -> String {
    let (mount, data) = (config.mount.path.display(), config.node.data_dir.display());
    let off = || "off".to_owned();
    let files = plan.mounts.then(|| mount.to_string());
    let s3 = plan.s3.map(|address| url(config, address));
    let key = match member {
        None => config.paths().cluster_key().display().to_string(),
        Some(member) => format!("of {} {}, in {data}", member.kind, member.name),
    };
    let rest = plan.mounts.then(|| format!(" && rmdir {mount}"));
    let mut text = format!(
        "  files   {}\n  \
           s3      {}\n  \
           data    {data}\n  \
           key     {key}\n  \
           logs    here; more with RUST_LOG=debug\n  \
           stop    Ctrl-C, or: kill {}\n  \
           remove  stop, then: rm -rf {data}{}",
        files.unwrap_or_else(off),
        s3.unwrap_or_else(off),
        std::process::id(),
        rest.unwrap_or_default(),
    );
    if let Some(member) = member {
        text += &format!("; and on a node: wolfdiskctl node remove {}", member.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::config::Arguments;
    use wolfdisk_common::member::Who;

    use super::*;

    fn config(text: &str, mount: Option<&str>) -> Config {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("config.toml");
        std::fs::write(&file, text).expect("written");
        let arguments = Arguments {
            config: Some(file),
            data_dir: Some("/d".into()),
            mount: mount.map(Into::into),
        };
        Config::load(&arguments).expect("a configuration")
    }

    fn member(kind: MemberKind) -> Credentials {
        Credentials {
            cluster: None,
            who: Who::Member(3),
            kind,
            name: "desk".to_owned(),
            shared_key: [8; 32].into(),
            static_key: [9; 32].into(),
            node_key: None,
            addresses: Vec::new(),
        }
    }

    #[test]
    fn a_gateway_mounts_when_it_is_told_where_and_a_client_answers_s3_when_it_is_told_to() {
        let (gateway, client) = (member(MemberKind::Gateway), member(MemberKind::Client));
        let plan = |config: &Config, member: &Credentials, said| {
            Plan::of(config, Some(member), said).map(|plan| (plan.mounts, plan.s3.is_some()))
        };
        let plain = config("", None);
        assert_eq!(plan(&plain, &gateway, None).expect("s3"), (false, true));
        assert!(plan(&plain, &gateway, Some(cli::S3::Off)).is_err());
        let chosen = config("", Some("/m"));
        assert_eq!(plan(&chosen, &gateway, None).expect("both"), (true, true));
        assert_eq!(plan(&plain, &client, None).expect("a mount"), (true, false));
        let enabled = config("[s3]\nenabled = true\n", None);
        assert_eq!(plan(&enabled, &client, None).expect("both"), (true, true));
    }
}
