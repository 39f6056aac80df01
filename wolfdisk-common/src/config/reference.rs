//! The reference: every field with its type and unit, default, what is allowed and who reads it, for people.

use std::fmt::Write;

use toml::Value;

use super::file::preset;
use super::schema::{FIELDS, Field, Preset, Reader, SECTIONS};

const HEAD: &str = "\
# Configuration

Every setting there is. This file is made from the code: `wolfdiskctl config reference > docs/configuration.md`. The same
as a file to edit, with every line commented out, is [../deploy/config.toml](../deploy/config.toml), which `wolfdiskctl config
example` prints.

The configuration is a TOML file. It is the one that `--config` names, else `$WOLFDISK_CONFIG`, else
`/etc/wolfdisk/config.toml` for root and the units, `~/.config/wolfdisk/config.toml` for other users. No file is needed: all is
optional. An unknown name or a value that is not allowed is refused with what would be right, and `wolfdiskctl config check`
looks without starting anything. Arguments win over the file.

Every program reads the file when it starts, so a change counts after a restart: `systemctl restart wolfdisk`, or ending and
starting `wolfdiskctl up`. Under systemd the mounts stay over it ([operations.md](operations.md)).

What *nothing yet* reads is checked, and kept for a release with several nodes that store. Until then `replication.mode` and
the roles `auto`, `leader` and `follower` are only shown, by `wolfdiskctl status`.
";

const COLUMNS: &str = "\
| setting | what it is | type | default | allowed | read by |
|---|---|---|---|---|---|
";

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n## `[{}]`\n\n{}\n\n{COLUMNS}",
            section.name, section.about
        );
        for field in FIELDS.iter().filter(|field| field.section == section.name) {
            let cells = [
                format!("`{}`", field.name),
                about(field),
                kind(field),
                default(field),
                field.allowed.to_owned(),
                readers(field),
            ];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

fn about(field: &Field) -> String {
    let lines: Vec<&str> = field.about.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// The type, as TOML has it, and the unit of a number.
fn kind(field: &Field) -> String {
    let (Preset::Is(text) | Preset::Depends(text, _)) = field.preset;
    let kind = match preset(text) {
        Value::String(_) => "text",
        Value::Integer(_) => "number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "list of texts",
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => "value",
    };
    match unit(field.name) {
        Some(unit) => format!("{kind}, {unit}"),
        None => kind.to_owned(),
    }
}

/// The unit that is last in a name.
fn unit(name: &str) -> Option<&'static str> {
    let known = [
        ("bytes_per_second", "bytes a second"),
        ("_bytes", "bytes"),
        ("chunk_size", "bytes"),
        ("_ms", "milliseconds"),
        ("_s", "seconds"),
        ("_hours", "hours"),
    ];
    let found = known.into_iter().find(|(end, _)| name.ends_with(end));
    found.map(|(_, unit)| unit)
}

fn default(field: &Field) -> String {
    match field.preset {
        Preset::Is(value) => format!("`{value}`"),
        Preset::Depends(value, what) if what.starts_with("this") => format!("`{value}`: {what}"),
        Preset::Depends(_, what) => what.to_owned(),
    }
}

fn readers(field: &Field) -> String {
    let names: Vec<&str> = field.readers.iter().map(|reader| reader.name()).collect();
    match field.readers {
        [] => "nothing yet".to_owned(),
        [
            Reader::Meta,
            Reader::Chunkd,
            Reader::Fuse,
            Reader::S3,
            Reader::Ctl,
        ] => "all".to_owned(),
        _ => names.join(", "),
    }
}
