//! `up`: the whole node in the foreground.

use std::net::SocketAddr;
use std::path::Path;

use wolfdisk_common::access_key::AccessKey;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::identity::IdentityError;

use super::node::Node;
use crate::cli::{self, Global};
use crate::error::CtlError;
use crate::output::{print, say};
use crate::supervisor::Outcome;

pub(super) fn run(global: &Global, options: &cli::Up) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(options.mount.as_ref()))?;
    let mut node = Node::claim(config)?;
    make_mount_point(&node.config().mount.path)?;
    let s3 = endpoint(node.config(), options.s3);
    // Before anything runs that would be stopped because of it.
    let key = key_to_show(node.config(), s3)?;
    let outcome = match node.start(&options.options, s3) {
        Ok(Outcome::Ready) => {
            print(&ready(node.config(), s3, key.as_ref()));
            say(&explanation(node.config(), s3));
            node.run()
        }
        Ok(early) => Ok(early),
        Err(error) => {
            // What was started before it stops too; its failure to stop is the smaller news.
            if let Err(also) = node.stop() {
                say(&also.to_string());
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

/// Where S3 is to be answered: as said on the command line, else in the configuration, else at the default.
fn endpoint(config: &Config, said: Option<cli::S3>) -> Option<SocketAddr> {
    match said {
        Some(cli::S3::At(address)) => Some(address),
        Some(cli::S3::Off) => None,
        None => (config.s3.enabled || config.file.is_none()).then_some(config.s3.bind),
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
fn ready(config: &Config, s3: Option<SocketAddr>, key: Option<&AccessKey>) -> String {
    let mut text = format!("ready mount={}", config.mount.path.display());
    if let Some(address) = s3 {
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

fn explanation(config: &Config, s3: Option<SocketAddr>) -> String {
    let (mount, data) = (config.mount.path.display(), config.node.data_dir.display());
    let s3 = s3.map_or("off".to_owned(), |address| url(config, address));
    format!(
        "  files   {mount}\n  \
           s3      {s3}\n  \
           data    {data}\n  \
           key     {}\n  \
           logs    here; more with RUST_LOG=debug\n  \
           stop    Ctrl-C, or: kill {}\n  \
           remove  stop, then: rm -rf {data} && rmdir {mount}",
        config.paths().cluster_key().display(),
        std::process::id(),
    )
}
