//! `join-token`: what lets another machine in.

use serde::Serialize;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_proto::v1::{IssueTokenRequest, Restrictions};

use super::reach;
use super::status::when;
use crate::cli::{self, Global};
use crate::output::{json, print, say};

#[derive(Serialize)]
struct Answer<'a> {
    token: &'a str,
    role: &'a str,
    expires_s: u64,
    read_only: bool,
    subdir: Option<String>,
    squash_root: bool,
}

pub(super) fn run(global: &Global, options: &cli::members::JoinToken) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let reach = reach::whom(global, &config)?;
    let subdir = options.subdir.as_ref();
    let restrictions = Restrictions {
        read_only: options.read_only,
        subdir: subdir.map_or_else(Default::default, |path| {
            path.as_os_str().as_encoded_bytes().to_vec().into()
        }),
        squash_root: options.squashes_root(),
    };
    let request = IssueTokenRequest {
        kind: options.role.number().into(),
        ttl_s: options.ttl.as_secs(),
        restrictions: Some(restrictions.clone()),
        addresses: options.addresses.clone(),
    };
    let made = reach::ask(&reach, &config, |meta, options| {
        meta.issue_token(options, &request)
    })?;
    let role = options.role.as_str();
    if global.json {
        print(&json(&Answer {
            token: &made.token,
            role,
            expires_s: made.expires_s,
            read_only: restrictions.read_only,
            subdir: subdir.map(|path| path.display().to_string()),
            squash_root: restrictions.squash_root,
        })?);
        return Ok(Exit::Ok);
    }
    print(&format!("{}\n", made.token));
    let mut limits = Vec::new();
    if restrictions.read_only {
        limits.push("may change nothing".to_owned());
    }
    if let Some(path) = subdir {
        limits.push(format!("sees {} and nothing else", path.display()));
    }
    if restrictions.squash_root {
        limits.push("its root is nobody here".to_owned());
    }
    let limits = match limits.is_empty() {
        true => String::new(),
        false => format!(": {}", limits.join(", ")),
    };
    say(&format!(
        "  lets one machine in, once, as {role}{limits}; expires {}\n  \
           whoever has it can use it: show nobody else\n  \
           there   wolfdiskctl init --join -      (and paste it; or the token in place of -)\n  \
           then    wolfdiskctl up",
        when(made.expires_s)
    ));
    Ok(Exit::Ok)
}
