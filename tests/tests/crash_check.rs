//! `wolfdiskctl check`, on a node that runs and on one that does not: what is whole is called so, what is
//! damaged is named with its files, a check changes nothing, and a repair is what it says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use wolfdisk_tests::{Node, Outcome, Plan, Random, is_long_run, program, run, sh, wait_until};

const BLOCK: u64 = 4096;
const FILE_BYTES: usize = 400_000;

/// What `check --json` answered, and the exit code.
struct Answer {
    code: i32,
    json: serde_json::Value,
    said: String,
}

fn check(data: &Path, arguments: &[&str]) -> Answer {
    let Outcome {
        code,
        stdout,
        stderr,
    } = run(Command::new(program("wolfdiskctl"))
        .args(["check", "--json", "--data-dir"])
        .arg(data)
        .args(arguments));
    Answer {
        code: code.expect("no signal"),
        json: serde_json::from_str(&stdout).unwrap_or_default(),
        said: stderr,
    }
}

impl Answer {
    /// The exit code, and the state that it stands for.
    fn assert(&self, code: i32, state: &str) {
        let found = (self.code, self.json["state"].as_str().unwrap_or("none"));
        assert_eq!(found, (code, state), "{:#}\n{}", self.json, self.said);
    }

    fn findings(&self) -> Vec<serde_json::Value> {
        self.json["findings"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// What is lost of the file at `path`.
    fn lost(&self, path: &str) -> Vec<(u64, u64)> {
        let findings = self.findings();
        let of_file = findings
            .iter()
            .filter(|finding| finding["severity"] == "lost" && finding["path"] == path);
        of_file
            .flat_map(|finding| {
                let ranges = finding["ranges"].as_array().expect("ranges").iter();
                ranges
                    .map(|range| {
                        (
                            range[0].as_u64().expect("from"),
                            range[1].as_u64().expect("to"),
                        )
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A node with files in chunks, in the log, with several names, with attributes; and their content.
fn filled() -> (Node, Files) {
    let mut node = Node::start();
    let mut random = Random::new();
    let mut files = Files::new();
    fs::create_dir_all(node.path("a/deep/tree")).expect("made");
    for (name, length) in [
        ("a/large", FILE_BYTES),
        ("a/deep/tree/other", FILE_BYTES),
        ("a/deep/small", 3000),
        ("tiny", 20),
        ("empty", 0),
    ] {
        let content = random.bytes(length);
        fs::write(node.path(name), &content).expect("written");
        files.insert(PathBuf::from(name), content);
    }
    fs::hard_link(node.path("tiny"), node.path("a/second name")).expect("linked");
    files.insert("a/second name".into(), files[Path::new("tiny")].clone());
    fs::remove_file(node.path("empty")).expect("removed");
    files.remove(Path::new("empty"));
    node.restart();
    (node, files)
}

fn write_at(path: &Path, bytes: &[u8], at: u64) {
    let file = fs::File::options().write(true).open(path).expect("opened");
    file.write_all_at(bytes, at).expect("written");
}

/// Where content lies in the segments.
fn place_of(data: &Path, content: &[u8]) -> (PathBuf, u64) {
    for entry in fs::read_dir(data.join("chunks")).expect("the chunks") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "seg") {
            let bytes = fs::read(&path).expect("a segment");
            if let Some(at) = bytes
                .windows(content.len())
                .position(|part| part == content)
            {
                return (path, at as u64);
            }
        }
    }
    panic!("the content is in no segment");
}

/// Damages one block of a file's content.
fn damage(data: &Path, content: &[u8], block: u64) {
    let start = (block * BLOCK) as usize;
    let (path, at) = place_of(data, &content[start..start + BLOCK as usize]);
    write_at(&path, b"damage", at + 7);
}

/// Every file under a directory with its content, but for locks, which name their holders.
fn tree(data: &Path) -> Files {
    let listed = sh(data, "find . -type f ! -name lock");
    let paths = listed.lines().map(PathBuf::from);
    paths
        .map(|path| {
            let content = fs::read(data.join(&path)).expect("readable");
            (path, content)
        })
        .collect()
}

#[test]
fn a_whole_node_is_clean_online_and_offline_and_no_byte_of_it_changes() {
    let (mut node, files) = filled();
    check(node.data(), &[]).assert(0, "clean");
    check(node.data(), &["--repair"]).assert(0, "clean");
    let refused = check(node.data(), &["--offline"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.said.contains("without --offline"),
        "{}",
        refused.said
    );
    // `kill -9` of all leaves work for the next start: a check must do it beside the data.
    let last = Random::new().bytes(30_000);
    fs::write(node.path("last"), &last).expect("written");
    node.crash();
    let stopped = check(node.data(), &[]);
    assert_eq!(stopped.code, 3);
    assert!(stopped.said.contains("--offline"), "{}", stopped.said);
    let before = tree(node.data());
    let answer = check(node.data(), &["--offline"]);
    answer.assert(0, "clean");
    assert!(answer.json["chunks_read"].as_u64() > Some(0));
    check(node.data(), &["--offline", "--quick"]).assert(0, "clean");
    let after = tree(node.data());
    assert!(before.keys().eq(after.keys()), "files came or went");
    for (path, content) in before {
        assert!(after[&path] == content, "{} was changed", path.display());
    }
    node.up();
    for (path, content) in files {
        assert!(fs::read(node.path(&path)).expect("readable") == content);
    }
    assert!(fs::read(node.path("last")).expect("readable") == last);
    check(node.data(), &[]).assert(0, "clean");
}

#[test]
fn damaged_content_is_named_with_its_files_and_bytes() {
    let (mut node, files) = filled();
    let large = &files[Path::new("a/large")];
    damage(node.data(), large, 3);
    damage(node.data(), large, 4);
    damage(node.data(), large, 9);
    // The file shares its chunk's bytes with a copy of a part of it.
    sh(
        node.mount(),
        "python3 - <<'E'\nimport os\na=os.open('a/large',0)\nb=os.open('copy',os.O_CREAT|os.O_WRONLY,0o600)\n\
         os.copy_file_range(a,b,20000,8192,0)\nE",
    );
    let online = check(node.data(), &[]);
    online.assert(5, "at risk");
    let lost = vec![(3 * BLOCK, 5 * BLOCK), (9 * BLOCK, 10 * BLOCK)];
    assert_eq!(online.lost("/a/large"), lost);
    assert_eq!(online.lost("/copy"), [(BLOCK, 3 * BLOCK)]);
    assert_eq!(online.lost("/a/deep/tree/other"), []);
    wait_until("the damage is in the status", || {
        let status = run(Command::new(program("wolfdiskctl"))
            .args(["status", "--data-dir"])
            .arg(node.data()));
        status.code == Some(4)
    });
    node.stop();
    let offline = check(node.data(), &["--offline", "--repair"]);
    offline.assert(5, "at risk");
    assert_eq!(offline.lost("/a/large"), lost);
    node.up();
    fs::write(node.path("the same"), large).expect("written");
    check(node.data(), &[]).assert(0, "clean");
    node.restart();
    assert!(fs::read(node.path("a/large")).expect("readable") == *large);
}

#[test]
fn a_lost_segment_is_named_with_its_files() {
    let (mut node, files) = filled();
    node.stop();
    let (path, _) = place_of(node.data(), &files[Path::new("a/large")][..4096]);
    fs::remove_file(path).expect("removed");
    let answer = check(node.data(), &["--offline"]);
    answer.assert(5, "at risk");
    assert_eq!(answer.lost("/a/large"), [(0, FILE_BYTES as u64)]);
}

#[test]
fn a_node_that_has_lost_everything_is_told_from_one_that_never_had_anything() {
    let mut node = Node::prepare(Plan::default());
    let initialised = run(Command::new(program("wolfdiskctl"))
        .args(["init", "--data-dir"])
        .arg(node.data()));
    assert_eq!(initialised.code, Some(0), "{}", initialised.stderr);
    let says = |answer: &Answer, severity: &str, text: &str| {
        let findings = answer.findings();
        let one = findings
            .iter()
            .find(|finding| finding["severity"] == severity);
        let what = one.map_or(String::new(), |finding| finding["what"].to_string());
        assert!(what.contains(text), "{:#}", answer.json);
    };
    // The first check leaves its lock.
    for _ in 0..2 {
        let answer = check(node.data(), &["--offline"]);
        answer.assert(0, "clean");
        says(&answer, "note", "has never run");
    }
    node.up();
    node.stop();
    // It has run, and holds nothing but its index.
    let answer = check(node.data(), &["--offline"]);
    answer.assert(0, "clean");
    assert_eq!(answer.findings().len(), 0);
    sh(node.data(), "rm -r meta/* chunks");
    let before = tree(node.data());
    for arguments in [["--offline"].as_slice(), &["--offline", "--repair"]] {
        let answer = check(node.data(), arguments);
        answer.assert(5, "at risk");
        says(&answer, "lost", "and the node has run before");
    }
    assert!(before == tree(node.data()), "a check has made something");
    sh(node.data(), "rm -r meta");
    check(node.data(), &["--offline"]).assert(5, "at risk");
}

#[test]
fn what_stands_beside_intact_bytes_is_repaired() {
    let (mut node, files) = filled();
    node.stop();
    let large = &files[Path::new("a/large")];
    let (path, at) = place_of(node.data(), &large[..4096]);
    // The tables end where the payload, or the gap before it, begins: CRCs of 98 blocks and 7 hashes.
    let tables = 98 * 4 + 7 * 32;
    let record = fs::read(&path).expect("a segment")[..at as usize]
        .windows(4)
        .rposition(|magic| magic == b"WDCR")
        .expect("a record") as u64;
    assert!(record + 96 + tables <= at);
    write_at(&path, &[0x55; 3], record + 96 + 8);
    let looked = check(node.data(), &["--offline"]);
    looked.assert(4, "repairable");
    let repaired = check(node.data(), &["--offline", "--repair"]);
    repaired.assert(4, "repaired");
    check(node.data(), &["--offline"]).assert(0, "clean");
    node.up();
    assert!(fs::read(node.path("a/large")).expect("readable") == *large);
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    FlipBit,
    ZeroPage,
    Truncate,
    Delete,
}

impl Harm {
    const ALL: [Harm; 4] = [Harm::FlipBit, Harm::ZeroPage, Harm::Truncate, Harm::Delete];

    /// Does it, in the part of the file that is in use.
    fn apply(self, path: &Path) {
        // The log's next segment is made anew at a start, and is empty then for a moment.
        let mut bytes = Vec::new();
        wait_until("the file holds something", || {
            bytes = fs::read(path).unwrap_or_default();
            !bytes.is_empty()
        });
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let middle = (used / 2) as u64;
        match self {
            Harm::FlipBit => write_at(path, &[bytes[used / 2] ^ 8], middle),
            Harm::ZeroPage => {
                let page = middle / BLOCK * BLOCK;
                let length = (bytes.len() as u64 - page).min(BLOCK);
                write_at(path, &vec![0; length as usize], page);
            }
            Harm::Truncate => {
                let file = fs::File::options().write(true).open(path).expect("opened");
                file.set_len(middle).expect("cut");
            }
            Harm::Delete => fs::remove_file(path).expect("removed"),
        }
    }
}

/// Whether a node on this data shows all files as they were.
fn is_whole(node: &mut Node, files: &Files) -> bool {
    node.up();
    let whole = files
        .iter()
        .all(|(path, content)| fs::read(node.path(path)).is_ok_and(|found| found == *content));
    node.stop();
    whole
}

/// A data directory that every case begins with.
struct Original {
    path: PathBuf,
    files: Files,
}

impl Original {
    /// What `node` has, which holds these files and does not run.
    fn of(node: &Node, files: Files) -> Original {
        let path = node.scratch().path().join("original");
        fs::rename(node.data(), &path).expect("moved");
        Original { path, files }
    }

    /// Each harm to each file in which something is stored.
    fn cases(&self) -> Vec<(String, Harm)> {
        let paths = sh(&self.path, "find meta chunks -type f ! -name lock | sort");
        let each = |path: &str| Harm::ALL.map(|harm| (path.to_owned(), harm));
        paths.lines().flat_map(each).collect()
    }

    /// All of them in a long run, else one harm to each file but the log: without that an index does not come up
    /// again, and calls wait for it as long as they may.
    fn cases_of_this_run(&self) -> Vec<(String, Harm)> {
        let mut cases = self.cases();
        // A node that runs has taken it away.
        cases.retain(|(path, _)| path != "chunks/closed");
        if is_long_run() {
            return cases;
        }
        let mut random = Random::new();
        let mut one_of =
            |cases: &[(String, Harm)]| cases[random.below(cases.len() as u64) as usize].clone();
        cases
            .chunks(Harm::ALL.len())
            .filter(|cases| !cases[0].0.starts_with("meta/log/0"))
            .map(&mut one_of)
            .collect()
    }

    fn restore(&self, data: &Path) {
        let copy = data.display();
        sh(
            &self.path,
            &format!("rm -rf '{copy}' && cp -a --sparse=always . '{copy}'"),
        );
    }

    /// After harm to a node that does not run now: what is wrong is found and named, or nothing is. True: found.
    fn assert_found_or_whole(&self, node: &mut Node, case: &str) -> bool {
        let answer = check(node.data(), &["--offline"]);
        let (json, said) = (&answer.json, &answer.said);
        match answer.code {
            0 => {
                let whole = is_whole(node, &self.files);
                assert!(whole, "{case} was called clean:\n{json:#}");
                false
            }
            4 | 5 => {
                let named = !answer.findings().is_empty();
                assert!(named, "{case}: nothing is named");
                true
            }
            other => panic!("{case}: {other}\n{json:#}\n{said}"),
        }
    }
}

#[test]
fn harm_to_any_file_is_found_or_did_no_harm() {
    let (mut node, files) = filled();
    node.stop();
    let original = Original::of(&node, files);
    let mut seen = 0;
    for (path, harm) in original.cases() {
        original.restore(node.data());
        harm.apply(&node.data().join(&path));
        let case = format!("{harm:?} of {path}");
        seen += usize::from(original.assert_found_or_whole(&mut node, &case));
    }
    assert!(seen >= 12, "only {seen} harms were found");
}

/// The same under daemons that run, with nothing in the kernel's caches: until it is found, what is read is right
/// or refused, and what is acknowledged meanwhile is not called clean and lost.
#[test]
fn harm_under_a_running_node_is_served_to_nobody() {
    let (mut node, files) = filled();
    node.stop();
    let mut original = Original::of(&node, files);
    let new = PathBuf::from("a/new");
    for (path, harm) in original.cases_of_this_run() {
        let case = format!("{harm:?} of {path}");
        original.restore(node.data());
        node.up();
        harm.apply(&node.data().join(&path));
        sh(node.data(), "sync && echo 3 > /proc/sys/vm/drop_caches");
        let second = node.second_mount();
        let content = Random::new().bytes(5000);
        let written = std::thread::scope(|scope| {
            for (path, content) in &original.files {
                let (path, case) = (second.path(path), &case);
                scope.spawn(move || assert_right_or_refused(&path, content, case));
            }
            fs::File::create(second.path(&new)).and_then(|mut file| {
                file.write_all(&content)?;
                file.sync_all()
            })
        });
        drop(second);
        node.crash();
        if written.is_ok() {
            original.files.insert(new.clone(), content);
        }
        original.assert_found_or_whole(&mut node, &case);
        original.files.remove(&new);
    }
}

fn assert_right_or_refused(path: &Path, content: &[u8], case: &str) {
    match fs::read(path) {
        Ok(found) => assert!(found == content, "{case}: other content of {path:?}"),
        Err(error) => {
            let errno = error.raw_os_error();
            assert_eq!(errno, Some(libc::EIO), "{case}: {path:?}: {error}");
        }
    }
}

#[test]
fn harm_to_the_identity_is_refused_by_name() {
    let (mut node, files) = filled();
    node.stop();
    let original = Original::of(&node, files);
    for (name, harm) in ["format", "identity.toml", "cluster.key"]
        .into_iter()
        .flat_map(|name| Harm::ALL.map(|harm| (name, harm)))
    {
        original.restore(node.data());
        harm.apply(&node.data().join(name));
        let answer = check(node.data(), &["--offline"]);
        let said = &answer.said;
        assert!(
            ![0, 4, 5].contains(&answer.code),
            "{harm:?} of {name}: {said}"
        );
        let named = said.contains(name) || said.contains("is not initialised");
        assert!(named, "{harm:?} of {name}: {said}");
    }
}
