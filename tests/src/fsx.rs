//! The fsx that both its tests run: one process that exercises one file.

use std::path::Path;
use std::process::Command;

use crate::programs::tool;
use crate::scratch::Scratch;

/// What is done how often, without `close_open`; the rest of the suite's settings is left alone.
const WEIGHTS: &str = "
invalidate = 1
mapread = 10
mapwrite = 10
read = 10
write = 10
truncate = 5
fsync = 0.2
fdatasync = 0.2
posix_fallocate = 3
punch_hole = 5
sendfile = 5
posix_fadvise = 2
copy_file_range = 5
";

/// So many operations on `file`, of which `closes` by these weights are closing it and opening it again.
pub fn fsx(scratch: &Scratch, file: &Path, seed: u32, operations: u32, closes: u32) -> Command {
    let configuration = scratch.path().join(format!("fsx-{seed}.toml"));
    let text = format!("[weights]\nclose_open = {closes}{WEIGHTS}");
    std::fs::write(&configuration, text).expect("written");
    let mut command = Command::new(tool("fsx"));
    command
        .arg("-f")
        .arg(configuration)
        .args(["-S", &seed.to_string(), "-N", &operations.to_string()])
        .arg("-P")
        .arg(scratch.path())
        .arg(file);
    command
}
