//! Sockets that daemons left which were killed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wolfdisk_common::socket;

use super::finding::Finding;
use super::ground::Ground;
use super::within::within;
use crate::command::counters::process_of;
use crate::users;

const NAME: &str = "sockets";
/// A socket that nobody listens at refuses at once.
const REFUSAL: Duration = Duration::from_secs(2);

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let run_dir = ground.paths().run_dir().to_owned();
    let entries = std::fs::read_dir(&run_dir).into_iter().flatten().flatten();
    let left: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_left(&run_dir, name))
        .collect();
    vec![judge(&run_dir, left)]
}

fn is_left(run_dir: &Path, name: &str) -> bool {
    match process_of(name) {
        Some(pid) => !users::is_alive(pid),
        None => name.ends_with(".sock") && refuses(run_dir.join(name)),
    }
}

fn refuses(path: PathBuf) -> bool {
    let refused = within(REFUSAL, move || {
        socket::connect(&path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    refused.unwrap_or(false)
}

fn judge(run_dir: &Path, mut left: Vec<String>) -> Finding {
    left.sort();
    match left.as_slice() {
        [] => Finding::ok(NAME, "none is left over"),
        left => Finding::warn(
            NAME,
            format!(
                "{} in {} were left by daemons that were killed",
                left.join(", "),
                run_dir.display()
            ),
            "nothing needs to be done: the next start takes their place",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_socket_without_a_listener_is_left_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let listening = UnixListener::bind(at("meta.sock")).expect("a socket");
        drop(UnixListener::bind(at("chunkd.sock")).expect("a socket"));
        assert!(!is_left(directory.path(), "meta.sock"));
        assert!(is_left(directory.path(), "chunkd.sock"));
        assert!(is_left(directory.path(), "fuse.4294967.stats"));
        let own = format!("fuse.{}.stats", std::process::id());
        assert!(!is_left(directory.path(), &own));
        drop(listening);
        assert_eq!(judge(directory.path(), vec!["a".into()]).level, Level::Warn);
        assert_eq!(judge(directory.path(), Vec::new()).level, Level::Ok);
    }
}
