//! Whom the commands ask: the daemons of this machine, those that it joined, or the node that `--node` names.

use std::time::Duration;

use wolfdisk_client::{MetaLine, Reach};
use wolfdisk_common::config::Config;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{Empty, MetaStatus};

use crate::cli::Global;
use crate::error::CtlError;

/// A daemon that runs answers at once; a tool does not wait for one that hangs.
const NEAR_DEADLINE: Duration = Duration::from_secs(3);
/// Over the network: names are looked up, and some addresses may not answer.
const FAR_DEADLINE: Duration = Duration::from_secs(10);

/// Whom to ask.
///
/// # Errors
/// This machine belongs to no cluster.
pub(super) fn whom(global: &Global, config: &Config) -> anyhow::Result<Reach> {
    Ok(match &global.node {
        Some(address) => Reach::at(config, address)?,
        None => Reach::of(config)?,
    })
}

/// Options for one question.
pub(super) fn once(reach: &Reach) -> Options {
    Options {
        retry: false,
        ..Options::within(match reach.as_remote() {
            None => NEAR_DEADLINE,
            Some(_) => FAR_DEADLINE,
        })
    }
}

/// What wolfdisk-meta says; `None`: nobody answers.
///
/// # Errors
/// The answer is none, or no.
pub(super) fn status(reach: &Reach) -> Result<Option<MetaStatus>, CtlError> {
    match (reach.meta().status(&mut once(reach), &Empty {}), reach) {
        (Ok(status), _) => Ok(Some(status)),
        (Err(Failure::Disconnected(_)), _)
        | (Err(Failure::Deadline(_) | Failure::Unavailable(_)), Reach::Remote(_)) => Ok(None),
        (Err(failure @ Failure::Denied(_)), Reach::Remote(_)) => Err(CtlError::Refused(failure)),
        (Err(failure), _) => Err(CtlError::Ask(failure)),
    }
}

/// The same of a node that let this machine in and whose answer did not come, by packets so small that every network carries
/// them; `None`: that does not help either.
pub(super) fn status_by_small_packets(reach: &Reach) -> Option<MetaStatus> {
    let line = reach.as_remote()?.meta_by_small_packets(FAR_DEADLINE)?;
    let answer = line.and_then(|line| line.status(&mut once(reach), &Empty {}));
    // Why the first question was not answered is the news.
    answer.ok()
}

/// The same; somebody must answer.
///
/// # Errors
/// Nobody does.
pub(super) fn must_run(reach: &Reach, config: &Config) -> Result<MetaStatus, CtlError> {
    let dir = || config.node.data_dir.clone();
    status(reach)?.ok_or_else(|| match reach {
        Reach::Local { .. } => CtlError::NotRunning(dir()),
        Reach::Remote(_) => CtlError::Unreachable(dir()),
    })
}

/// Asks one question about members.
///
/// # Errors
/// Nobody answers, or the answer is no.
pub(super) fn ask<T>(
    reach: &Reach,
    config: &Config,
    question: impl FnOnce(&MetaLine, &mut Options) -> Result<T, Failure>,
) -> Result<T, CtlError> {
    question(&reach.meta(), &mut once(reach)).map_err(|failure| match (failure, reach) {
        (Failure::Disconnected(_), Reach::Local { .. }) => {
            CtlError::NotRunning(config.node.data_dir.clone())
        }
        (failure, _) => CtlError::Refused(failure),
    })
}
