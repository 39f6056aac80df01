//! Running other programs, and why that failed.

use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// One message, empty if all has been said, and the exit code that goes with it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Something did not work.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            code: 1,
        }
    }

    /// It was asked for wrongly.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            code: 2,
        }
    }

    /// Tests failed; the summary, whose last line stays the last, has said which.
    pub fn told() -> Failure {
        Failure::new("")
    }

    /// Says why on standard error.
    pub fn say(&self) {
        if !self.message.is_empty() {
            eprintln!("{self}");
        }
    }

    /// For `main`.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The repository.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// `cargo ARGUMENTS`, in the repository, with the cargo that runs this.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    command
}

/// Runs it and shows what it says. Gives whether it succeeded.
pub fn succeeds(command: &mut Command) -> Result<bool, Failure> {
    announce(command);
    let status = command.status().map_err(|error| cannot(command, &error))?;
    Ok(status.success())
}

/// Runs it, shows what it says and hands each line of its standard output to `look`. Gives whether it
/// succeeded.
pub fn watched(command: &mut Command, mut look: impl FnMut(&str)) -> Result<bool, Failure> {
    announce(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot(command, &error))?;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = line.map_err(|error| cannot(command, &error))?;
            let text = String::from_utf8_lossy(&line);
            println!("{text}");
            look(&text);
        }
    }
    let status = child.wait().map_err(|error| cannot(command, &error))?;
    Ok(status.success())
}

/// Runs it quietly and gives its standard output, `None` if it failed or is not there.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

/// Becomes it. Comes back only if that fails.
pub fn become_it(command: &mut Command) -> Failure {
    announce(command);
    let error = command.exec();
    cannot(command, &error)
}

fn announce(command: &Command) {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<OsString> = words.map(OsString::from).collect();
    let line: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    println!("+ {}", line.join(" "));
    // What the program says must come after this line; a closed output is its problem, not ours.
    let _ = std::io::stdout().flush();
}

fn cannot(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!(
        "cannot run {}: {error}",
        command.get_program().to_string_lossy()
    ))
}

/// The packages whose programs a node is made of.
pub const NODE: [&str; 5] = [
    "wolfdisk-meta",
    "wolfdisk-chunkd",
    "wolfdisk-fuse",
    "wolfdisk-s3",
    "wolfdiskctl",
];

/// Builds the programs of these packages with `profile` and gives the folder they are in.
pub fn build_programs(profile: &str, packages: &[&str]) -> Result<PathBuf, Failure> {
    let mut build = cargo(&["build", "--locked", "--profile", profile]);
    for package in packages {
        build.args(["--package", package]);
    }
    if !succeeds(&mut build)? {
        return Err(Failure::new("the build failed"));
    }
    Ok(target_directory()?.join(profile))
}

/// Builds the S3 front-end with HTTPS into a folder of its own below that of `profile`. Cargo knows one place for a
/// program: the other is there again after [`build_programs`].
pub fn build_https(profile: &str) -> Result<(), Failure> {
    let mut build = cargo(&["build", "--locked", "--profile", profile]);
    if !succeeds(build.args(["--package", "wolfdisk-s3", "--features", "tls"]))? {
        return Err(Failure::new("the build with HTTPS failed"));
    }
    let built = target_directory()?.join(profile);
    let folder = built.join("https");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::copy(built.join("wolfdisk-s3"), folder.join("wolfdisk-s3")))
        .map(drop)
        .map_err(|error| Failure::new(format!("cannot copy to {}: {error}", folder.display())))
}

/// Where cargo puts what it builds.
pub fn target_directory() -> Result<PathBuf, Failure> {
    let unknown = || Failure::new("cargo metadata does not name the target directory");
    let mut metadata = cargo(&[
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let text = output(&mut metadata).ok_or_else(unknown)?;
    let (_, rest) = text
        .split_once("\"target_directory\":\"")
        .ok_or_else(unknown)?;
    let (path, _) = rest.split_once('"').ok_or_else(unknown)?;
    Ok(PathBuf::from(path))
}
