//! `node`: the members of the cluster.

use serde::Serialize;
use wolfdisk_client::Reach;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::member::MemberKind;
use wolfdisk_proto::v1::change_member_request::Change;
use wolfdisk_proto::v1::{ChangeMemberRequest, Empty, ListMembersReply, Member};

use super::reach;
use super::status::when;
use crate::cli::Global;
use crate::cli::members::Node;
use crate::error::CtlError;
use crate::output::{json, print, say, table};

/// One member in JSON.
#[derive(Debug, Serialize)]
struct Shown {
    number: u64,
    name: String,
    role: &'static str,
    state: &'static str,
    joined_s: u64,
    connections: u32,
    address: Option<String>,
    read_only: bool,
    subdir: Option<String>,
    squash_root: bool,
}

pub(super) fn run(global: &Global, what: &Node) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let reach = reach::whom(global, &config)?;
    match what {
        Node::List => {
            let reply = members(&reach, &config)?;
            let shown: Vec<Shown> = reply.members.iter().map(Shown::of).collect();
            match global.json {
                true => print(&json(&shown)?),
                false => print(&as_table(&shown)),
            }
            if !reply.note.is_empty() {
                say(&reply.note);
            }
        }
        Node::Remove { member } => {
            let (before, after) = change(&reach, &config, member, Change::Remove(true))?;
            let text = format!(
                "{} ({}) is shut out; to come back it has to join again\n",
                before.name, before.role
            );
            answer(global, &after, &text)?;
        }
        Node::Forget { member } => {
            let (before, after) = change(&reach, &config, member, Change::Forget(true))?;
            let text = format!(
                "that {} ({}) was removed is forgotten\n",
                before.name, before.role
            );
            answer(global, &after, &text)?;
        }
        Node::Rename { member, name } => {
            let change_to = Change::Rename(name.to_string());
            let (before, after) = change(&reach, &config, member, change_to)?;
            let text = format!("{} is called {} now\n", before.name, after.name);
            answer(global, &after, &text)?;
        }
    }
    Ok(Exit::Ok)
}

fn answer(global: &Global, after: &Shown, text: &str) -> anyhow::Result<()> {
    match global.json {
        true => print(&json(after)?),
        false => print(text),
    }
    Ok(())
}

fn members(reach: &Reach, config: &Config) -> Result<ListMembersReply, CtlError> {
    reach::ask(reach, config, |meta, options| {
        meta.list_members(options, &Empty {})
    })
}

/// Changes a member that people named; gives what it was and is.
fn change(
    reach: &Reach,
    config: &Config,
    wanted: &str,
    change: Change,
) -> Result<(Shown, Shown), CtlError> {
    let members = members(reach, config)?.members;
    let removed = matches!(change, Change::Forget(_));
    let found =
        named(&members, wanted, removed).ok_or_else(|| CtlError::NoMember(wanted.to_owned()))?;
    let request = ChangeMemberRequest {
        number: found.number,
        change: Some(change),
    };
    let reply = reach::ask(reach, config, |meta, options| {
        meta.change_member(options, &request)
    })?;
    let after = reply.member.unwrap_or_default();
    Ok((Shown::of(found), Shown::of(&after)))
}

/// By its name, else by its number, among those that were removed or those that were not.
fn named<'a>(members: &'a [Member], wanted: &str, removed: bool) -> Option<&'a Member> {
    let mut present = members.iter().filter(|member| member.removed == removed);
    let mut again = present.clone();
    let by_name = present.find(|member| member.name == wanted);
    by_name.or_else(|| {
        let number = wanted.parse::<u64>().ok()?;
        again.find(|member| member.number == number)
    })
}

impl Shown {
    fn of(member: &Member) -> Shown {
        let restrictions = member.restrictions.clone().unwrap_or_default();
        let kind = u8::try_from(member.kind).ok();
        let kind = kind.and_then(MemberKind::from_number);
        let subdir = String::from_utf8_lossy(&restrictions.subdir).into_owned();
        Shown {
            number: member.number,
            name: member.name.clone(),
            role: kind.map_or("of a newer release", MemberKind::as_str),
            state: match (member.removed, member.here, member.connections) {
                (true, ..) => "removed",
                (false, true, _) => "here",
                (false, false, 0) => "away",
                (false, false, _) => "connected",
            },
            joined_s: member.joined_s,
            connections: member.connections,
            address: Some(member.address.clone()).filter(|address| !address.is_empty()),
            read_only: restrictions.read_only,
            subdir: Some(subdir).filter(|path| !path.is_empty()),
            squash_root: restrictions.squash_root,
        }
    }

    fn limits(&self) -> String {
        let mut limits = Vec::new();
        if self.read_only {
            limits.push("read-only".to_owned());
        }
        if let Some(path) = &self.subdir {
            limits.push(format!("only {path}"));
        }
        if self.squash_root {
            limits.push("root is nobody".to_owned());
        }
        match limits.is_empty() {
            true => "-".to_owned(),
            false => limits.join(", "),
        }
    }
}

fn as_table(members: &[Shown]) -> String {
    let row = |member: &Shown| {
        vec![
            member.number.to_string(),
            member.name.clone(),
            member.role.to_owned(),
            member.state.to_owned(),
            member.address.clone().unwrap_or_else(|| "-".to_owned()),
            when(member.joined_s),
            member.limits(),
        ]
    };
    let rows: Vec<Vec<String>> = members.iter().map(row).collect();
    let head = [
        "number", "name", "role", "state", "address", "joined", "limits",
    ];
    table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u64, name: &str, removed: bool) -> Member {
        Member {
            number,
            name: name.to_owned(),
            kind: 2,
            removed,
            ..Member::default()
        }
    }

    #[test]
    fn a_member_is_found_by_name_then_by_number_and_not_once_removed() {
        let members = [
            member(1, "alpha", false),
            member(2, "desk", true),
            member(3, "desk", false),
            member(4, "1", false),
        ];
        let removed = named(&members, "desk", true).map(|member| member.number);
        assert_eq!(removed, Some(2));
        let number = |wanted| named(&members, wanted, false).map(|member| member.number);
        assert_eq!(number("desk"), Some(3));
        assert_eq!(number("1"), Some(4));
        assert_eq!(number("3"), Some(3));
        assert_eq!(number("2"), None);
        assert_eq!(number("nobody"), None);
    }

    #[test]
    fn the_node_that_answers_is_here() {
        let mut own = member(1, "alpha", false);
        assert_eq!(Shown::of(&own).state, "away");
        own.here = true;
        assert_eq!(Shown::of(&own).state, "here");
    }

    #[test]
    fn the_table_says_what_a_member_may_not() {
        let mut limited = member(3, "desk", false);
        limited.restrictions = Some(wolfdisk_proto::v1::Restrictions {
            read_only: true,
            subdir: b"photos/2026".as_slice().into(),
            squash_root: true,
        });
        let text = as_table(&[Shown::of(&limited)]);
        assert!(
            text.contains("read-only, only photos/2026, root is nobody"),
            "{text}"
        );
        assert!(text.contains("client") && text.contains("away"), "{text}");
    }
}
