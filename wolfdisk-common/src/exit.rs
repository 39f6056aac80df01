//! How a program ends: the exit codes, and one line on standard error that says why.

use std::error::Error;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::identity::IdentityError;

/// The exit codes of every WolfDisk program. The numbers never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It worked.
    Ok = 0,
    /// It did not.
    Failed = 1,
    /// The command line or the configuration is wrong: asking again the same way will not help.
    Usage = 2,
    /// Nothing runs.
    NotRunning = 3,
    /// It runs with something broken.
    Degraded = 4,
    /// Data may be lost if anything else breaks.
    AtRisk = 5,
    /// Of wolfdisk-fuse: it left its mount to a successor.
    HandedOver = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Ends `main`: prints why it failed, in one line, and gives the code.
pub fn finish(program: &str, outcome: Result<Exit, Box<dyn Error + Send + Sync>>) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("{program}: {}", one_line(&*error));
            code_of(&*error).into()
        }
    }
}

/// The message of `error` and of each of its causes, joined by `: `.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        let cause = cause.to_string();
        // Some errors repeat their cause in their own message.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.split('\n')
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The code that fits `error`: usage if anything in the chain says that the configuration is wrong.
pub fn code_of(error: &(dyn Error + 'static)) -> Exit {
    let usage = causes(error).any(|cause| {
        let identity = cause.downcast_ref::<IdentityError>();
        cause.is::<ConfigError>() || identity.is_some_and(IdentityError::is_usage)
    });
    if usage { Exit::Usage } else { Exit::Failed }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer\nline")]
    struct Outer(#[source] ConfigError);

    #[test]
    fn the_chain_becomes_one_line_and_the_code_is_that_of_the_cause() {
        let error = Outer(ConfigError::NoHome { option: "mount" });
        assert_eq!(
            one_line(&error),
            "outer line: the HOME of this user is unknown; give --mount or set HOME"
        );
        assert_eq!(code_of(&error), Exit::Usage);
        assert_eq!(code_of(&std::io::Error::other("x")), Exit::Failed);
    }
}
