//! What is answered is configured, and nothing else.

use std::fs;

use wolfdisk_tests::Cluster;

use crate::setting::{CONFIG, IDENTITY, Setting, assert_says, script, typed};

#[test]
fn a_wrong_answer_at_any_prompt_is_asked_again() {
    let setting = Setting::new();
    let script = script();
    let programs = setting.programs();
    // From elsewhere, where no programs lie beside it.
    fs::copy(
        script,
        setting.scratch().directory("alone").join("setup.sh"),
    )
    .expect("copied");
    fs::create_dir_all(setting.root().join("srv/full/of")).expect("a folder");
    let command = format!(
        "{}/alone/setup.sh --root {}",
        setting.path().display(),
        setting.root().display()
    );
    let outcome = typed(
        &command,
        &[
            ("Where are the programs?", "/nowhere"),
            ("there is no /nowhere", ""),
            ("name a folder", programs.to_str().expect("a plain path")),
            ("Name of this node", "No Name"),
            ("1 to 63 of a-z", "alpha"),
            ("Role (", "witness"),
            ("allowed: \"auto\"", "leader"),
            ("Address on which", "nonsense"),
            ("allowed: an IP address", "127.0.0.1:19500"),
            ("How do nodes find", "magic"),
            ("automatic, peers or standalone", "peers"),
            ("Nodes to ask", ""),
            ("name at least one", "beta:x"),
            ("allowed: a list of host and port", "beta, 10.0.0.7:9600"),
            ("Found a new cluster", "conquer"),
            ("found, token or key", "token"),
            ("Join token", "gibberish"),
            ("begins with wdj1_", "wdj1_notone"),
            ("One copy of the data", "many"),
            ("\"shared\" or \"replicated\"", "replicated"),
            ("Copies of each", "two"),
            ("no number of copies", "99"),
            ("from 1 to 16", "2"),
            ("Where do the files", "relative"),
            ("an absolute path", "/srv/full"),
            ("is not empty", "none"),
            ("a node has a mount", "/srv/files"),
            ("Answer S3?", "perhaps"),
            ("allowed: an IP address", "0.0.0.0:19878"),
            ("Write this?", "maybe"),
            ("yes or no", "no"),
        ],
    );
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let said = outcome.stdout;
    for line in [
        "id = \"alpha\"",
        "role = \"leader\"",
        "bind = \"127.0.0.1:19500\"",
        "peers = [\"beta:9500\", \"10.0.0.7:9600\"]",
        "mode = \"replicated\"",
        "factor = 2",
        "path = \"/srv/files\"",
        "bind = \"0.0.0.0:19878\"",
        "secret_key = (not shown)",
        "nothing was changed",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!setting.root().join("etc/wolfdisk").exists());
    assert!(!setting.root().join("usr").exists());
}

#[test]
fn it_may_come_through_a_pipe() {
    let setting = Setting::new();
    let command = format!(
        "cat {} | bash -s -- {}",
        script().display(),
        setting.options()
    );
    let outcome = typed(
        &command,
        &[
            ("Name of this node", "alpha"),
            ("Role (", ""),
            ("Address on which", ""),
            ("How do nodes find", "standalone"),
            ("Found a new cluster", "key"),
            ("stands alone joins none", "found"),
            ("One copy of the data", ""),
            ("Where do the files", ""),
            ("Answer S3?", ""),
            ("Write this?", "yes"),
        ],
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(setting.root().join(IDENTITY).exists());
    assert!(
        setting
            .configured()
            .contains(&"discovery = \"none\"".to_owned())
    );
    // Who answers nothing more has changed nothing.
    let before = setting.files();
    let outcome = typed(&command, &[("Name of this node", "\u{4}")]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains("no answer; nothing was changed"),
        "{outcome:?}"
    );
    assert_eq!(setting.files(), before);
}

#[test]
fn a_second_run_changes_what_is_answered_otherwise() {
    let setting = Setting::new();
    let answers = setting.path().join("answers");
    let told = "# this machine\nid = alpha\nrole=follower\n\nmode=replicated\nfactor=2\n";
    fs::write(&answers, told).expect("written");
    let answers = answers.to_str().expect("a plain path");
    setting.set_up(&["--answers", answers, "--role", "leader"]);
    let configured = setting.configured();
    let has = |line: &str| configured.iter().any(|found| found == line);
    assert!(has("id = \"alpha\"") && has("factor = 2"), "{configured:?}");
    assert!(
        has("role = \"leader\""),
        "the command line wins: {configured:?}"
    );
    let unit = setting.root().join("etc/systemd/system/wolfdisk.service");
    let unit = fs::read_to_string(unit).expect("a unit");
    assert!(unit.contains("=/usr/local/bin/wolfdiskctl"), "{unit}");

    let before = setting.files();
    let again = setting.set_up(&[]);
    assert!(again.stdout.contains("nothing to change"), "{again:?}");
    assert_eq!(setting.files(), before);

    // What an administrator wrote stays.
    let config = setting.root().join(CONFIG);
    let text = fs::read_to_string(&config).expect("read");
    let edited = text.replace("#heartbeat_ms = 200", "heartbeat_ms = 250 # slow links");
    assert_ne!(edited, text);
    fs::write(&config, edited).expect("written");
    let told = setting.set_up(&["--dry-run", "--mount", "/srv/files"]);
    assert!(
        told.stdout
            .contains("would write /etc/wolfdisk/config.toml"),
        "{told:?}"
    );
    assert!(
        setting
            .configured()
            .contains(&"path = \"/mnt/wolfdisk\"".to_owned())
    );
    let changed = setting.set_up(&["--mount", "/srv/files"]);
    let wrote: Vec<&str> = changed
        .stdout
        .lines()
        .filter(|line| line.starts_with("wrote"))
        .collect();
    assert_eq!(wrote, ["wrote /etc/wolfdisk/config.toml"]);
    let now = setting.configured();
    let expected: Vec<String> = configured
        .iter()
        .map(|line| line.replace("/mnt/wolfdisk", "/srv/files"))
        .collect();
    let kept: Vec<String> = now
        .iter()
        .filter(|line| *line != "heartbeat_ms = 250 # slow links")
        .cloned()
        .collect();
    assert_eq!(kept, expected);
    assert_eq!(now.len(), kept.len() + 1, "{now:?}");
}

#[test]
fn a_machine_joins_by_a_token_that_nobody_used() {
    let cluster = Cluster::start();
    let token = cluster.token(&[]);
    let desk = Setting::new();
    let file = desk.path().join("token");
    fs::write(&file, format!("{token}\n")).expect("written");
    let file = file.to_str().expect("a plain path");
    let client = ["--role", "client", "--id", "desk", "--token-file", file];
    desk.set_up(&client);
    assert!(desk.root().join("var/lib/wolfdisk/member.toml").exists());
    assert!(!desk.root().join(IDENTITY).exists());
    // The token is used by now, and not needed again.
    let again = desk.set_up(&client);
    assert!(again.stdout.contains("nothing to change"), "{again:?}");

    let other = Setting::new();
    other.refused(&["--role", "client", "--token", &token], &["token"]);
    // On a terminal it is asked for again.
    let command = format!(
        "{} {} --role client --token {token}",
        script().display(),
        other.options()
    );
    let fresh = cluster.token(&[]);
    let outcome = typed(
        &command,
        &[
            ("Name of this node", "table"),
            ("Where do the files", ""),
            ("Answer S3?", ""),
            ("Write this?", "yes"),
            ("Join token", &fresh),
        ],
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(other.root().join("var/lib/wolfdisk/member.toml").exists());
    let members = cluster.ask(&["node", "list"]).stdout;
    assert!(
        members.contains("desk") && members.contains("table"),
        "{members}"
    );
}

#[test]
fn what_is_taken_away_is_the_programs_unless_the_data_is_meant() {
    let setting = Setting::new();
    setting.set_up(&["--id", "alpha"]);
    let identity = fs::read(setting.root().join(IDENTITY)).expect("a node");
    let uninstall = format!(
        "{} --root {} --uninstall",
        script().display(),
        setting.root().display()
    );
    let before = setting.files();
    let kept = typed(&uninstall, &[("Remove it?", "what"), ("yes or no", "no")]);
    assert!(kept.stdout.contains("nothing was removed"), "{kept:?}");
    assert_eq!(setting.files(), before);
    let outcome = typed(&uninstall, &[("Remove it?", "yes")]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!setting.root().join("usr/local/bin/wolfdiskctl").exists());
    let units = setting.root().join("etc/systemd/system");
    assert!(!units.join("wolfdisk.service").exists());
    assert!(
        !units
            .join("multi-user.target.wants/wolfdisk.service")
            .is_symlink()
    );
    assert_eq!(
        fs::read(setting.root().join(IDENTITY)).expect("kept"),
        identity
    );
    // The data is that of the node that is installed anew.
    setting.set_up(&[]);
    assert_eq!(
        fs::read(setting.root().join(IDENTITY)).expect("kept"),
        identity
    );
    // A folder that is no node's is not emptied, whatever a configuration says.
    let config = setting.root().join(CONFIG);
    let text = fs::read_to_string(&config).expect("read");
    let other = text.replace("\"/var/lib/wolfdisk\"", "\"/usr\"");
    assert_ne!(other, text);
    fs::write(&config, other).expect("written");
    let refused = setting.run(&["--yes", "--uninstall", "--remove-data"]);
    assert_says(&refused, &["/usr is no data directory"]);
    assert!(setting.root().join("usr/local/bin").exists());
    fs::write(&config, text).expect("written");
    let all = setting.run(&["--yes", "--uninstall", "--remove-data"]);
    assert_eq!(all.code, Some(0), "{all:?}");
    assert!(!setting.root().join("var/lib/wolfdisk").exists());
    assert!(!setting.root().join("etc/wolfdisk").exists());
    let none = setting.run(&["--yes", "--uninstall"]);
    assert!(none.stdout.contains("nothing to remove"), "{none:?}");
}
