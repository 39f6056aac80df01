//! What of a configuration may be shown to others.

use std::collections::BTreeSet;

use wolfdisk_common::config;

/// The settings of a file without what may be secret: no access key and no secret, no comment, and nothing that is no
/// setting, which may hold anything; of those it is said that they were left out. So are values that go over several lines.
pub(super) fn shareable(text: &str) -> String {
    let known = known();
    let mut shown = String::new();
    let (mut section, mut left_out) = ("", 0);
    for line in text.lines().map(str::trim) {
        if let Some(name) = section_of(line) {
            section = name;
            continue;
        }
        let Some((name, value)) = setting(line) else {
            // A comment, or the rest of a value.
            continue;
        };
        let full = format!("{section}.{name}");
        match (known.contains(&full), is_secret(name), plain(value)) {
            (true, true, _) => shown += &format!("# {full} is set\n"),
            (true, false, Some(value)) => shown += &format!("{full} = {value}\n"),
            (true, false, None) | (false, _, _) => left_out += 1,
        }
    }
    if left_out > 0 {
        shown += &format!("# {left_out} settings that are unknown or hard to read: left out\n");
    }
    shown
}

/// All settings that there are, as `section.name`.
fn known() -> BTreeSet<String> {
    let example = config::example();
    let mut section = "";
    let mut known = BTreeSet::new();
    for line in example.lines() {
        if let Some(name) = section_of(line) {
            section = name;
        } else if let Some((name, _)) = line.strip_prefix('#').and_then(setting) {
            known.insert(format!("{section}.{name}"));
        }
    }
    known
}

fn section_of(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.split_once(']')?;
    Some(name.trim())
}

fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then_some((name, value.trim()))
}

fn is_secret(name: &str) -> bool {
    name.contains("secret") || name.contains("access_key")
}

/// A value of one line, without a comment behind it: a text without escapes, a list of such, a number or a truth value.
fn plain(value: &str) -> Option<&str> {
    if let Some(rest) = value.strip_prefix('"') {
        let (text, _) = rest.split_once('"')?;
        let good = !text.is_empty() && !text.contains('\\');
        return if good {
            value.get(..text.len() + 2)
        } else {
            None
        };
    }
    if value.starts_with('[') {
        let (list, _) = value.split_once(']')?;
        return if list.contains(['#', '\\']) {
            None
        } else {
            value.get(..=list.len())
        };
    }
    let word = value.split(['#', ' ', '\t']).next()?;
    let good = word == "true" || word == "false" || word.bytes().all(|byte| byte.is_ascii_digit());
    (good && !word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_and_secrets_are_not() {
        let text = "# hunter1\n[node] # hunter2\nrole = \"auto\" # hunter3\npassword = \"hunter4\"\n\
                    [s3]\nbind = \"127.0.0.1:1\"\naccess_key = \"hunter5\"\nsecret_key = \"\"\"\nhunter6\n\"\"\"\n\
                    domains = [\"a.example\"]\nowner = 'hunter7'\n\
                    [hunter8]\na = \"hunter9\"\n[scrub]\nenabled = false#hunter10\n";
        let shown = shareable(text);
        assert!(!shown.contains("hunter"), "{shown}");
        for part in [
            "node.role = \"auto\"\n",
            "s3.bind = \"127.0.0.1:1\"\n",
            "# s3.secret_key is set\n",
            "s3.domains = [\"a.example\"]\n",
            "scrub.enabled = false\n",
            "# 3 settings",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn all_settings_are_known() {
        let known = known();
        for name in ["node.role", "cluster.peers", "s3.secret_key", "log.level"] {
            assert!(known.contains(name), "{name}: {known:?}");
        }
    }
}
