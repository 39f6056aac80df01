//! What the configuration promises: defaults, search order, and every message.

use super::*;
use crate::config::{example, reference, schema::FIELDS};

fn parse(text: &str) -> Result<Config, ConfigError> {
    let file = File::parse(Path::new("c.toml"), text)?;
    let arguments = Arguments {
        data_dir: Some("/d".into()),
        mount: Some("/m".into()),
        config: None,
    };
    Config::from_file(&arguments, None, file)
}

#[test]
fn what_has_changed_is_named_and_a_default_that_is_written_out_has_not() {
    let old =
        parse("[s3]\naccess_key = \"a\"\nsecret_key = \"hidden-1\"").expect("a configuration");
    let new = parse(
        "[log]\nlevel = \"debug\"\n[replication]\nfactor = 3\n[s3]\naccess_key = \"a\"\nsecret_key = \"hidden-2\"",
    )
    .expect("a configuration");
    assert_eq!(old.changed(&new), ["s3.secret_key", "log.level"]);
    assert_eq!(new.changed(&new), [""; 0]);
    assert!(!format!("{old:?}").contains("hidden"));
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn the_defaults_are_those_that_are_written_down() {
    let config = parse("").expect("the defaults");
    assert_eq!(config.node.id, None);
    assert_eq!(config.node.role, Role::Auto);
    assert_eq!(config.node.bind.to_string(), "0.0.0.0:9500");
    assert_eq!(config.node.chunk_bind.to_string(), "0.0.0.0:9502");
    assert!(!config.node.bind_is_chosen);
    let any = parse("[node]\nbind = \"127.0.0.1:0\"").expect("any port");
    assert_eq!(any.node.chunk_bind.to_string(), "127.0.0.1:0");
    assert!(any.node.bind_is_chosen);
    assert_eq!(config.cluster.heartbeat, Duration::from_millis(200));
    assert_eq!(config.cluster.leader_timeout, Duration::from_secs(1));
    assert_eq!(config.cluster.election, Election::LowestId);
    assert_eq!(config.replication.mode, Mode::Shared);
    assert_eq!(config.replication.chunk_size_bytes, CHUNK_SIZE_MAX_BYTES);
    assert_eq!(config.admin.fuse_bind.to_string(), "127.0.0.1:9512");
    assert_eq!(config.admin.s3_bind.to_string(), "127.0.0.1:9513");
    assert!(config.mount.allow_other && !config.s3.enabled);
}

#[test]
fn the_example_gives_the_defaults_whether_commented_out_or_not() {
    let defaults = format!("{:?}", parse("").expect("the defaults"));
    let text = example();
    assert_eq!(
        format!("{:?}", parse(&text).expect("the example")),
        defaults
    );
    let fixed: Vec<&str> = FIELDS
        .iter()
        .filter(|field| matches!(field.preset, schema::Preset::Is(_)))
        .map(|field| field.name)
        .collect();
    let switched_on: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest)
                if fixed
                    .iter()
                    .any(|name| rest.starts_with(&format!("{name} = "))) =>
            {
                rest
            }
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    // That somebody chose the address is all that differs.
    let chosen = format!("{:?}", parse(&switched_on).expect("the example"));
    let chosen = chosen.replace("bind_is_chosen: true", "bind_is_chosen: false");
    assert_eq!(chosen, defaults);
}

#[test]
fn the_example_of_every_field_is_a_value_that_it_allows() {
    for field in FIELDS {
        let schema::Preset::Depends(value, _) = field.preset else {
            continue;
        };
        if value == "\"\"" {
            continue;
        }
        // Certificate and key are needed together.
        let other = match field.name {
            "tls_cert" => "tls_key = \"/k\"",
            "tls_key" => "tls_cert = \"/c\"",
            _ => "",
        };
        let text = format!("[{}]\n{} = {value}\n{other}", field.section, field.name);
        parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn what_is_in_the_repository_is_made_by_this_build() {
    for (file, made, by) in [
        ("deploy/config.toml", example(), "example"),
        ("docs/configuration.md", reference(), "reference"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let text = std::fs::read_to_string(path).expect(file);
        assert_eq!(
            text, made,
            "write it anew: wolfdiskctl config {by} > {file}"
        );
    }
}

#[test]
fn the_reference_says_type_and_unit_of_every_field_and_who_reads_it() {
    let text = reference();
    for field in FIELDS {
        let begin = format!("| `{}` | ", field.name);
        let row = text.lines().find(|line| line.starts_with(&begin));
        let row = row.unwrap_or_else(|| panic!("no row of {}", field.name));
        assert_eq!(row.matches(" | ").count(), 5, "{row}");
        // Of numbers alone it says "a whole number", or "a power of two"; copies are counted, all others measured.
        let begins = ["a whole number", "a power of two"];
        let is_number = begins.iter().any(|begin| field.allowed.starts_with(begin));
        let counts = ["factor", "min_copies"].contains(&field.name);
        assert_eq!(row.contains(" | number |"), counts, "{row}");
        assert_eq!(row.contains(" | number, "), is_number && !counts, "{row}");
    }
    for (name, part) in [
        ("heartbeat_ms", "| number, milliseconds | `200` |"),
        ("peers", "| list of texts | `[]` |"),
        ("election", "| nothing yet |"),
        ("data_dir", "| all |"),
        ("chunk_bind", "| wolfdisk-meta, wolfdisk-chunkd |"),
    ] {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        assert!(row.is_some_and(|row| row.contains(part)), "{row:?}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_known_one() {
    for (text, message) in [
        (
            "[cluster]\nhearbeat_ms = 1",
            "c.toml: unknown field `cluster.hearbeat_ms`; did you mean `cluster.heartbeat_ms`?",
        ),
        (
            "[clutser]\n",
            "c.toml: unknown section `clutser`; did you mean [cluster]?",
        ),
        (
            "data_dir = \"/x\"",
            "c.toml: unknown section `data_dir`; `data_dir` belongs under [node]",
        ),
        (
            "[node]\nheartbeat_ms = 1",
            "c.toml: unknown field `node.heartbeat_ms`; `heartbeat_ms` belongs under [cluster]",
        ),
        (
            "[mount]\nzzzzzzzz = 1",
            "c.toml: unknown field `mount.zzzzzzzz`; known in [mount]: path, allow_other",
        ),
        (
            "node = 1",
            "c.toml: node = 1 is not allowed; allowed: a section, written [node]",
        ),
    ] {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn an_impossible_value_is_refused_with_field_value_and_what_is_allowed() {
    for (section, line) in [
        ("node", "id = \"Upper\""),
        ("node", "id = 5"),
        ("node", "role = \"boss\""),
        ("node", "bind = \"localhost\""),
        ("node", "bind = \"0.0.0.0:65535\""),
        ("node", "chunk_bind = \"alpha:9502\""),
        ("node", "data_dir = \"relative\""),
        ("cluster", "discovery = \"udp://10.0.0.1:9501\""),
        ("cluster", "peers = [\"beta\"]"),
        ("cluster", "election = \"raft\""),
        ("cluster", "heartbeat_ms = -1"),
        ("cluster", "leader_timeout_ms = 599"),
        ("replication", "mode = \"mirror\""),
        ("replication", "factor = 0"),
        ("replication", "min_copies = 4"),
        ("replication", "chunk_size = 100000"),
        ("replication", "chunk_size = 8388608"),
        ("cache", "size_bytes = 1"),
        ("mount", "allow_other = \"yes\""),
        ("s3", "owner = \"root\""),
        ("s3", "anonymous = true"),
        ("s3", "abandoned_upload_after_s = 0"),
        ("s3", "lifecycle_interval_s = 0"),
        ("s3", "domains = \"s3.example.com\""),
        ("s3", "domains = [\"s3.example.com:9878\"]"),
        ("s3", "domains = [\"127.0.0.1\"]"),
        ("s3", "domains = [\"-a.example\"]"),
        ("s3", "domains = [\".example.com\"]"),
        ("admin", "bind = \"127.0.0.1:65533\""),
        ("log", "level = \"loud\""),
    ] {
        let message = refusal(&format!("[{section}]\n{line}"));
        let start = format!("c.toml: {section}.{line} is not allowed; allowed: ");
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(message.lines().count(), 1);
    }
}

#[test]
fn what_needs_another_field_says_so() {
    for (text, message) in [
        (
            "[s3]\naccess_key = \"a\"",
            "c.toml: s3.secret_key is needed when s3.access_key is set",
        ),
        (
            "[s3]\ntls_key = \"/k\"",
            "c.toml: s3.tls_cert is needed when s3.tls_key is set",
        ),
        (
            "[s3]\nbind = \"0.0.0.0:9878\"",
            "c.toml: s3.access_key is needed when s3.bind = \"0.0.0.0:9878\" is open to other machines",
        ),
    ] {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn an_address_is_open_to_others_only_with_a_key_or_on_purpose() {
    let open = "[s3]\nbind = \"0.0.0.0:9878\"\n";
    assert!(parse(open).is_err());
    for reason in [
        "access_key = \"a\"\nsecret_key = \"b\"",
        "anonymous = \"read-only\"",
        "anonymous = \"read-write\"",
    ] {
        assert!(parse(&format!("{open}{reason}")).is_ok(), "{reason}");
    }
}

#[test]
fn domains_are_the_same_in_any_case() {
    let config = parse("[s3]\ndomains = [\"S3.Example.com\", \"localhost\"]");
    let domains = config.expect("settings").s3.domains;
    assert_eq!(domains, ["s3.example.com", "localhost"]);
}

#[test]
fn a_syntax_error_names_its_line() {
    let message = refusal("[node]\nid = \"a\"\nrole = \n");
    assert!(message.starts_with("c.toml, line 3: "), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn a_secret_is_never_shown() {
    let text = "[s3]\naccess_key = \"a\"\nsecret_key = \"hunter2\"";
    assert!(!format!("{:?}", parse(text).expect("settings")).contains("hunter2"));
    assert!(!refusal("[s3]\nsecret_key = [\"hunter2\"]").contains("hunter2"));
}

#[test]
fn arguments_win_and_a_named_file_must_exist() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "[node]\ndata_dir = \"/from/file\"\n").expect("a file");
    let mut arguments = Arguments {
        config: Some(path.clone()),
        ..Arguments::default()
    };
    let config = Config::load(&arguments).expect("settings");
    assert_eq!(config.node.data_dir, Path::new("/from/file"));
    assert_eq!(config.file.as_deref(), Some(path.as_path()));
    arguments.data_dir = Some("/from/argument".into());
    let config = Config::load(&arguments).expect("settings");
    assert_eq!(config.node.data_dir, Path::new("/from/argument"));
    arguments.config = Some(directory.path().join("missing.toml"));
    assert!(matches!(
        Config::load(&arguments),
        Err(ConfigError::Unreadable { .. })
    ));
}
