//! The live screens of `stats` and `profile`: what the mounts and the daemons did in the last second.

mod draw;
mod profile;
mod rates;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGTERM};
use wolfdisk_common::exit::one_line;

pub use draw::draw;
pub use profile::{HEAD as PROFILE_HEAD, draw as draw_profile, row as profile_row};
pub use rates::{Operation, Rates, Sample};

/// What one look at the counters gave.
#[derive(Debug)]
pub struct Look {
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
    /// What could not be asked, each in one line.
    pub troubles: Vec<String>,
}

/// The terminal, which is as it was when this goes.
struct Screen(DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Draws a look after every `interval` until somebody types `q`, Escape or Ctrl-C, or a signal ends it. The first look must succeed; what goes wrong
/// later is shown, and tried again.
///
/// # Errors
/// Why the first look failed, or what the terminal says.
pub fn run(
    interval: Duration,
    mut look: impl FnMut() -> anyhow::Result<Look>,
    draw: impl Fn(&mut Frame<'_>, &Rates, &[String]),
) -> anyhow::Result<()> {
    let mut last = sample(look()?);
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let mut screen = Screen(ratatui::try_init().context("cannot take the terminal")?);
    let mut rates = Rates::none(&last.0);
    let mut troubles = last.1;
    loop {
        let next = Instant::now() + interval;
        loop {
            screen.0.draw(|frame| draw(frame, &rates, &troubles))?;
            let left = next.saturating_duration_since(Instant::now());
            let typed = match event::poll(left) {
                // By a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => false,
                typed => typed?,
            };
            if ended.load(Ordering::Relaxed) || typed && ends(&event::read()?) {
                return Ok(());
            }
            if Instant::now() >= next {
                break;
            }
        }
        match look() {
            Ok(now) => {
                let now = sample(now);
                rates = Rates::between(&last.0, &now.0);
                troubles = now.1.clone();
                last = now;
            }
            Err(error) => troubles = vec![one_line(error.as_ref())],
        }
    }
}

fn sample(look: Look) -> (Sample, Vec<String>) {
    let sample = Sample {
        at: Instant::now(),
        counters: look.counters,
    };
    (sample, look.troubles)
}

/// Whether that means that it was enough.
fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quits = matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc);
    key.kind == KeyEventKind::Press && (quits || control_c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::crossterm::event::KeyEvent;

    #[test]
    fn q_escape_and_control_c_end_it() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        for (code, modifiers, expected) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, true),
            (KeyCode::Esc, KeyModifiers::NONE, true),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, true),
            (KeyCode::Char('c'), KeyModifiers::NONE, false),
            (KeyCode::Enter, KeyModifiers::NONE, false),
        ] {
            assert_eq!(ends(&key(code, modifiers)), expected, "{code:?}");
        }
        assert!(!ends(&Event::Resize(80, 24)));
    }
}
