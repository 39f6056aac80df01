//! A firewall that may keep others out, and what lets them in.

use wolfdisk_common::config::Discovery;

use super::ask::{ask, ask_well};
use super::finding::Finding;
use super::ground::{Ground, is_root};
use super::ports::wanted;

const NAME: &str = "firewall";

/// What is at work, with its rules as it lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Firewall {
    /// Nothing drops what comes in.
    None,
    /// Only root sees the rules.
    Unknown,
    Firewalld(String),
    Ufw(String),
    /// A chain of nftables drops what no rule accepts.
    Nftables(String),
    Iptables(String),
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let ports: Vec<u16> = wanted(ground)
        .iter()
        .filter(|one| one.option != "admin.bind" && !one.address.ip().is_loopback())
        .map(|one| one.address.port())
        .collect();
    if ports.is_empty() {
        return vec![Finding::ok(NAME, "no other machine needs to come in")];
    }
    let discovery = match ground.config.cluster.discovery {
        Discovery::Multicast(group) if ground.is_node() => Some(group.port()),
        Discovery::Multicast(_) | Discovery::None => None,
    };
    vec![judge(&look(), &ports, discovery)]
}

fn look() -> Firewall {
    let is_active =
        |unit| ask("systemctl", &["is-active", "--quiet", unit]).is_some_and(|said| said.good);
    if is_active("firewalld") {
        let rules = ask_well("firewall-cmd", &["--list-all"]);
        return Firewall::Firewalld(rules.unwrap_or_default());
    }
    if !is_root() {
        return Firewall::Unknown;
    }
    if let Some(rules) = ask_well("ufw", &["status"])
        && rules.starts_with("Status: active")
    {
        return Firewall::Ufw(rules);
    }
    if let Some(rules) = ask_well("nft", &["list", "ruleset"]) {
        return match drops(&rules) {
            true => Firewall::Nftables(rules),
            false => Firewall::None,
        };
    }
    match ask_well("iptables", &["-S"]) {
        Some(rules) if rules.lines().any(|line| line == "-P INPUT DROP") => {
            Firewall::Iptables(rules)
        }
        _ => Firewall::None,
    }
}

/// Whether a base chain for what comes in drops what no rule accepts.
fn drops(ruleset: &str) -> bool {
    let mut lines = ruleset.lines();
    lines.any(|line| line.contains("hook input") && line.contains("policy drop"))
}

/// Whether a port is named in rules, or lies in a range of them.
fn names(rules: &str, port: u16) -> bool {
    let mut words =
        rules.split(|letter: char| !letter.is_ascii_digit() && letter != '-' && letter != ':');
    words.any(|word| {
        let mut ends = word.split(['-', ':']).map(str::parse::<u16>);
        match (ends.next(), ends.next()) {
            (Some(Ok(one)), None) => one == port,
            (Some(Ok(first)), Some(Ok(last))) => (first..=last).contains(&port),
            _ => false,
        }
    })
}

fn judge(firewall: &Firewall, tcp: &[u16], udp: Option<u16>) -> Finding {
    let (name, rules) = match firewall {
        Firewall::None => return Finding::ok(NAME, "none drops what comes in"),
        Firewall::Unknown => return Finding::ok(NAME, "not looked at: only root sees its rules"),
        Firewall::Firewalld(rules) => ("firewalld", rules),
        Firewall::Ufw(rules) => ("ufw", rules),
        Firewall::Nftables(rules) => ("nftables", rules),
        Firewall::Iptables(rules) => ("iptables", rules),
    };
    let tcp: Vec<u16> = tcp
        .iter()
        .copied()
        .filter(|port| !names(rules, *port))
        .collect();
    let udp = udp.filter(|port| !names(rules, *port));
    if tcp.is_empty() && udp.is_none() {
        return Finding::ok(NAME, format!("{name} names all ports that are needed"));
    }
    let closed: Vec<String> = tcp
        .iter()
        .map(|port| format!("{port}/tcp"))
        .chain(udp.map(|port| format!("{port}/udp")))
        .collect();
    Finding::warn(
        NAME,
        format!(
            "{name} runs and does not name {}: other machines may not come in",
            closed.join(", ")
        ),
        opens(firewall, &tcp, udp),
    )
}

/// What lets others in.
fn opens(firewall: &Firewall, tcp: &[u16], udp: Option<u16>) -> String {
    let each = |text: &dyn Fn(&str, u16) -> String, between: &str| {
        let tcp = tcp.iter().map(|port| text("tcp", *port));
        let all: Vec<String> = tcp.chain(udp.map(|port| text("udp", port))).collect();
        all.join(between)
    };
    match firewall {
        Firewall::Firewalld(_) => format!(
            "run: firewall-cmd --permanent {} && firewall-cmd --reload",
            each(&|kind, port| format!("--add-port={port}/{kind}"), " ")
        ),
        Firewall::Ufw(_) => format!(
            "run: {}",
            each(&|kind, port| format!("ufw allow {port}/{kind}"), "; ")
        ),
        Firewall::Iptables(_) => format!(
            "run: {}",
            each(
                &|kind, port| format!("iptables -A INPUT -p {kind} --dport {port} -j ACCEPT"),
                "; "
            )
        ),
        Firewall::Nftables(_) | Firewall::None | Firewall::Unknown => format!(
            "run: {}",
            each(
                &|kind, port| format!("nft add rule inet filter input {kind} dport {port} accept"),
                "; "
            )
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_chain_that_drops_is_found() {
        let chain = |policy| {
            format!(
                "table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy {policy};\n\t}}\n}}\n"
            )
        };
        assert!(drops(&chain("drop")));
        assert!(!drops(&chain("accept")));
        assert!(!drops(
            "type filter hook forward priority filter; policy drop;"
        ));
    }

    #[test]
    fn ports_are_found_in_rules_of_every_kind() {
        for (rules, expected) in [
            ("9500/tcp   ALLOW   Anywhere", true),
            ("  ports: 9500/tcp 9501/udp", true),
            ("tcp dport { 22, 9500 } accept", true),
            ("tcp dport 9000-9600 accept", true),
            ("-A INPUT -p tcp --dport 9500:9502 -j ACCEPT", true),
            ("tcp dport { 22, 95001 } accept", false),
            ("tcp dport 9600-9700 accept", false),
            ("ip saddr 10.0.0.0/8 accept", false),
        ] {
            assert_eq!(names(rules, 9500), expected, "{rules}");
        }
    }

    #[test]
    fn what_is_closed_is_named_with_what_opens_it() {
        let ufw = Firewall::Ufw("Status: active\n9500/tcp ALLOW Anywhere\n".to_owned());
        let found = judge(&ufw, &[9500, 9502], Some(9501));
        assert_eq!(found.level, Level::Warn);
        assert!(
            found.says.contains("does not name 9502/tcp, 9501/udp"),
            "{found:?}"
        );
        assert_eq!(
            found.todo.as_deref(),
            Some("run: ufw allow 9502/tcp; ufw allow 9501/udp")
        );
        let firewalld = Firewall::Firewalld(String::new());
        let todo = judge(&firewalld, &[9500], None).todo.expect("a fix");
        assert_eq!(
            todo,
            "run: firewall-cmd --permanent --add-port=9500/tcp && firewall-cmd --reload"
        );
        for none in [Firewall::None, Firewall::Unknown] {
            assert_eq!(judge(&none, &[9500], Some(9501)).level, Level::Ok);
        }
        assert_eq!(judge(&ufw, &[9500], None).level, Level::Ok);
    }
}
