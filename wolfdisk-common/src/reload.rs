//! SIGHUP: the configuration is read anew. What can change in a running daemon does; what cannot is named in the log. A
//! configuration that is wrong changes nothing, and whoever asks systemd for the daemon's state reads that.

use std::io::{self, IsTerminal, Read};
use std::os::unix::net::UnixStream;

use signal_hook::consts::SIGHUP;

use crate::config::{Arguments, Config};
use crate::exit::one_line;
use crate::pulse::Pulse;
use crate::shutdown::{self, LIFELINE_VARIABLE};
use crate::{notify, telemetry};

/// What changes in every running daemon.
const ALWAYS_LIVE: &str = "log.level";

/// What of the configuration concerns a daemon: sections, or fields with theirs.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// What it looks at.
    pub uses: &'static [&'static str],
    /// What of that changes while it runs; the level of the log does everywhere.
    pub live: &'static [&'static str],
}

/// Requests to read the configuration anew.
#[derive(Debug)]
pub struct Reload {
    asked: Option<UnixStream>,
    arguments: Arguments,
}

impl Reload {
    /// Takes over SIGHUP, unless it is how the end of a terminal is told to who was started there. What comes before
    /// [`Reload::serve`] is kept for it.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(arguments: Arguments) -> io::Result<Reload> {
        let supervised = std::env::var_os(LIFELINE_VARIABLE).is_some();
        let asked = match supervised || !io::stderr().is_terminal() {
            true => Some(shutdown::signal_pipe(SIGHUP)?),
            false => None,
        };
        Ok(Reload { asked, arguments })
    }

    /// From now on follows such requests, on a thread of its own. `take_up` does what a new configuration changes beside
    /// the log; the reason for which it cannot is logged.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn serve(
        self,
        started: Config,
        scope: Scope,
        pulse: Pulse,
        take_up: impl Fn(&Config) -> Result<(), String> + Send + 'static,
    ) -> io::Result<()> {
        let Some(mut asked) = self.asked else {
            return Ok(());
        };
        let arguments = self.arguments;
        let thread = std::thread::Builder::new().name("reload".to_owned());
        thread.spawn(move || {
            // The writing end belongs to the signal and is never closed.
            while asked.read_exact(&mut [0]).is_ok() {
                notify::reloading(|| pulse.note(reload(&arguments, &started, scope, &take_up)));
            }
        })?;
        Ok(())
    }
}

/// Reads it anew. Gives what whoever looks after the machine should know.
fn reload(
    arguments: &Arguments,
    started: &Config,
    scope: Scope,
    take_up: &impl Fn(&Config) -> Result<(), String>,
) -> Option<String> {
    let config = match Config::load(arguments) {
        Ok(config) => config,
        Err(error) => {
            let error = one_line(&error);
            tracing::error!(error, "the configuration is wrong, the last one is kept");
            return Some(format!(
                "the configuration is wrong, the last one is kept: {error}"
            ));
        }
    };
    telemetry::set_level(config.log.level);
    if let Err(error) = take_up(&config) {
        tracing::error!(error, "not all of the configuration is taken up");
        return Some(format!("not all of the configuration is taken up: {error}"));
    }
    let waiting = scope.waiting(&started.changed(&config));
    tracing::info!(level = %config.log.level, "the configuration was read anew");
    if waiting.is_empty() {
        return None;
    }
    let settings = waiting.join(", ");
    tracing::warn!(settings, "only a restart changes these");
    Some(format!("only a restart changes {settings}"))
}

impl Scope {
    /// What of these settings the daemon looks at when it starts only.
    fn waiting(&self, changed: &[String]) -> Vec<String> {
        let names = |list: &[&str], setting: &str| {
            list.iter().any(|name| {
                let rest = setting.strip_prefix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let is_live = |setting: &str| setting == ALWAYS_LIVE || names(self.live, setting);
        let waiting = changed
            .iter()
            .filter(|setting| names(self.uses, setting) && !is_live(setting));
        waiting.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SCOPE: Scope = Scope {
        uses: &["node", "scrub", "s3.bind"],
        live: &["scrub"],
    };

    #[test]
    fn what_waits_for_a_restart_is_what_the_daemon_uses_and_cannot_change() {
        let changed = [
            "node.bind",
            "nodes.bind",
            "scrub.enabled",
            "s3.bind",
            "s3.owner",
            "log.level",
        ];
        let changed = changed.map(str::to_owned);
        assert_eq!(SCOPE.waiting(&changed), ["node.bind", "s3.bind"]);
    }

    #[test]
    fn a_wrong_configuration_changes_nothing_and_a_good_one_is_taken_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("config.toml");
        let write = |text: &str| std::fs::write(&file, text).expect("written");
        let arguments = Arguments {
            config: Some(file.clone()),
            data_dir: Some("/d".into()),
            mount: Some("/m".into()),
        };
        write("");
        let started = Config::load(&arguments).expect("a configuration");
        let taken = Cell::new(0);
        let take_up = |config: &Config| {
            taken.set(config.scrub.bytes_per_second);
            match config.scrub.enabled {
                true => Ok(()),
                false => Err("it cannot be".to_owned()),
            }
        };
        let again = || reload(&arguments, &started, SCOPE, &take_up);

        write("[scrub]\nbytes_per_second = 1\n");
        let note = again().expect("a note");
        assert!(note.contains("scrub.bytes_per_second"), "{note}");
        assert_eq!(taken.get(), 0);
        write("[scrub]\nbytes_per_second = 1000000\n");
        assert_eq!(again(), None);
        assert_eq!(taken.get(), 1_000_000);
        write("[node]\nbind = \"127.0.0.1:1\"\n");
        let note = again().expect("a note");
        assert_eq!(note, "only a restart changes node.bind");
        write("[scrub]\nenabled = false\n");
        let note = again().expect("a note");
        assert!(note.ends_with("it cannot be"), "{note}");
        write("");
        assert_eq!(again(), None, "as it was at the start");
    }
}
