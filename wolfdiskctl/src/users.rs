//! Which processes use a path, and which serves it, as `/proc` tells. Reads links only: a mount that
//! hangs does not hang this.

use std::path::Path;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its short name.
    pub name: String,
}

/// The processes that have their root, working directory, program or a file at or below `path`. Of
/// other users' processes only root learns.
pub fn users_of(path: &Path) -> Vec<Process> {
    processes()
        .filter(|process| uses(process.pid, path))
        .collect()
}

/// The wolfdisk-fuse that serves `mount`, by its command line.
pub fn server_of(mount: &Path) -> Option<Process> {
    processes()
        .filter(|process| process.name == "wolfdisk-fuse")
        .find(|process| {
            let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            let mount = mount.as_os_str().as_encoded_bytes();
            line.split(|byte| *byte == 0)
                .any(|argument| argument == mount)
        })
}

/// The processes of that short name.
pub fn named(name: &str) -> Vec<Process> {
    processes().filter(|process| process.name == name).collect()
}

/// The short name of a process; empty if there is none.
pub fn name_of(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// Whether the process is there (and no zombie).
pub fn is_alive(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The state of a process, as the kernel abbreviates it (`proc_pid_stat(5)`).
pub fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

/// The processes that hold one of these sockets, by the number of the socket. Of other users' processes only root learns.
pub fn holders_of(sockets: &[u64]) -> Vec<(u64, Process)> {
    let held = |process: Process| {
        let folder = format!("/proc/{}/fd", process.pid);
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| {
            let link = std::fs::read_link(entry.path()).ok()?;
            let number = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            number.parse::<u64>().ok()
        });
        let wanted: Vec<u64> = numbers.filter(|number| sockets.contains(number)).collect();
        wanted
            .into_iter()
            .map(move |number| (number, process.clone()))
    };
    processes().flat_map(held).collect()
}

/// Names and numbers, for a message.
pub fn listed(processes: &[Process]) -> String {
    if processes.is_empty() {
        return "a process of another user".to_owned();
    }
    let each = processes
        .iter()
        .map(|process| format!("{} ({})", process.name, process.pid));
    each.collect::<Vec<_>>().join(", ")
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        Some(Process {
            pid,
            name: name.trim_end().to_owned(),
        })
    })
}

fn uses(pid: u32, path: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let below = |link: &Path| std::fs::read_link(link).is_ok_and(|target| target.starts_with(path));
    let inside = |folder: &str| {
        let entries = std::fs::read_dir(process.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        entries.into_iter().any(|entry| below(&entry.path()))
    };
    ["cwd", "root", "exe"]
        .iter()
        .any(|link| below(&process.join(link)))
        || inside("fd")
        || inside("map_files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_makes_its_process_a_user() {
        let directory = tempfile::tempdir().expect("a directory");
        let own = std::process::id();
        let uses_it = || {
            users_of(directory.path())
                .iter()
                .any(|process| process.pid == own)
        };
        assert!(!uses_it());
        let file = std::fs::File::create(directory.path().join("f")).expect("a file");
        assert!(uses_it());
        drop(file);
        assert!(is_alive(own));
    }
}
