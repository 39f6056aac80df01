//! Members and nodes whose protocols are one apart work together, whichever is the newer; those further apart are told so.

mod interpreter;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interpreter::{Interpreter, Said};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::PROTOCOL_VERSION;
use wolfdisk_tests::{Cluster, Node, Plan, Random, ctl, forget_nodes, wait_until};

/// More than one chunk.
const LARGE_BYTES: usize = 5_000_000;
/// A refusal is an answer, not a wait.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);
const WHAT_TO_DO: &str = "run releases that are at most one apart";

const NEWEST: u32 = PROTOCOL_VERSION;
const PREVIOUS: u32 = NEWEST - 1;
const NEXT: u32 = NEWEST + 1;
const DISTANT: u32 = NEWEST + 2;

/// A machine that joined and whose only way to the node leads by the interpreter.
fn joined(cluster: &Cluster, said: Said) -> (PathBuf, Interpreter) {
    let name = format!("m{}n{}", said.member, said.node);
    let data = cluster.joined(&name, &["--no-squash-root"]);
    let paths = Paths::new(data.clone());
    let kept = Credentials::of_member(&paths).expect("readable");
    let mut keys = kept.expect("it joined");
    let interpreter = Interpreter::between(&keys, said);
    keys.addresses = vec![interpreter.address().to_string()];
    keys.keep(&paths).expect("kept");
    forget_nodes(&data);
    (data, interpreter)
}

/// Everything a member does reaches the node and comes back, whole.
fn works(member: &Path, node: &Path, name: &str, random: &mut Random) {
    let (small, large) = (random.bytes(100), random.bytes(LARGE_BYTES));
    for (writer, reader) in [(member, node), (node, member)] {
        fs::create_dir(writer.join(name)).expect("made");
        fs::write(writer.join(name).join("small"), &small).expect("written");
        fs::write(writer.join(name).join("large"), &large).expect("written");
        fs::rename(writer.join(name), writer.join("moved")).expect("renamed");
        let at = |file| reader.join("moved").join(file);
        assert!(fs::read(at("small")).expect("read") == small, "{name}");
        assert!(fs::read(at("large")).expect("read") == large, "{name}");
        assert_eq!(fs::read_dir(at("")).expect("listed").count(), 2, "{name}");
        fs::remove_dir_all(at("")).expect("removed");
        assert!(!writer.join("moved").exists(), "{name}");
    }
}

#[test]
fn neighbours_work_together_whichever_is_newer() {
    let cluster = Cluster::start();
    let mut random = Random::new();
    for (member, node) in [
        (NEWEST, NEWEST),
        (PREVIOUS, NEWEST),
        (NEWEST, PREVIOUS),
        (NEXT, NEWEST),
        (NEWEST, NEXT),
    ] {
        let (data, interpreter) = joined(&cluster, Said { member, node });
        let status = ctl(&data, &["status"]);
        assert_eq!(status.code, Some(0), "{member} to {node}: {status:?}");
        let name = format!("{member} to {node}");
        let mut mounted = cluster.up(data);
        works(mounted.mount(), cluster.node().mount(), &name, &mut random);
        let (meta, chunkd) = interpreter.conversations();
        assert!(meta > 0 && chunkd > 0, "{name}: {meta} and {chunkd}");
        mounted.stop();
    }
}

#[test]
fn those_further_apart_are_told_so_at_once() {
    let cluster = Cluster::start();
    let (member, node) = (NEWEST, DISTANT);
    let by_the_member = (
        Said { member, node },
        format!("node alpha speaks protocol {DISTANT}, this release {NEWEST}: {WHAT_TO_DO}"),
    );
    let (member, node) = (DISTANT, NEWEST);
    let by_the_node = (
        Said { member, node },
        format!("this node speaks protocol {NEWEST}, the other side {DISTANT}: {WHAT_TO_DO}"),
    );
    for (said, why) in [by_the_member, by_the_node] {
        let (data, _interpreter) = joined(&cluster, said);
        for command in [["status"].as_slice(), &["stats", "--once"]] {
            let asked = Instant::now();
            let refused = ctl(&data, command);
            assert!(asked.elapsed() < REFUSED_WITHIN, "{:?}", asked.elapsed());
            assert_ne!(refused.code, Some(0), "{refused:?}");
            let all = refused.stdout + &refused.stderr;
            assert!(all.contains(&why), "{command:?}: {all}");
        }
        let mut mount = Node::prepare(Plan {
            data: Some(data),
            ..Plan::default()
        });
        mount.launch();
        wait_until("the log names what is wrong", || mount.log().contains(&why));
        assert!(!mount.is_ready());
        let mut ended = None;
        wait_until("up does not wait for another release", || {
            ended = mount.up_ended();
            ended.is_some()
        });
        assert!(ended.is_some_and(|how| !how.success()), "{ended:?}");
    }
}
