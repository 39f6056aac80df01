//! Log lines as entries of systemd's journal, with their fields, by its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).
//!
//! `MESSAGE` is the line as it would be on standard error; beside it are `PRIORITY`, `SYSLOG_IDENTIFIER`, where in the
//! code it was written, and each field of the line in capitals behind [`PREFIX`]: what the journal itself gives a meaning
//! (`UNIT`, `OBJECT_PID` ..) cannot be named by a line.

use std::fmt::{Debug, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::stat::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::limits::{JOURNAL_DEADLINE, JOURNAL_VALUE_MAX_BYTES};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// The environment variable with device and inode of the stream that systemd made the standard error.
const STREAM_VARIABLE: &str = "JOURNAL_STREAM";
/// What the names of our own fields begin with.
const PREFIX: &str = "WOLFDISK_";
/// Longest name of a field that the journal takes.
const NAME_MAX_BYTES: usize = 64;
/// The field that is the line's text.
const MESSAGE: &str = "message";

/// The node that this process belongs to, once it is known.
static NODE: OnceLock<String> = OnceLock::new();

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    program: String,
    /// Lines that the journal did not take.
    lost: AtomicU64,
}

/// From now on entries name the node.
pub(crate) fn set_node(name: &str) {
    // A process belongs to one.
    let _ = NODE.set(name.to_owned());
}

impl Journal {
    /// The journal, if that is where standard error goes.
    pub(crate) fn behind_stderr() -> Option<Journal> {
        let said = std::env::var(STREAM_VARIABLE).ok()?;
        let found = fstat(io::stderr()).ok()?;
        if !names(&said, found.st_dev, found.st_ino) || !Path::new(SOCKET).exists() {
            return None;
        }
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_write_timeout(Some(JOURNAL_DEADLINE)).ok()?;
        let program = std::env::args_os().next()?;
        let program = Path::new(&program).file_name()?.to_str()?.to_owned();
        Some(Journal {
            socket,
            program,
            lost: AtomicU64::new(0),
        })
    }

    fn send(&self, line: Line) {
        let entry = line.entry(&self.program);
        // The address each time: a journal that was started anew listens at another socket there.
        if self.socket.send_to(&entry, SOCKET).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let mut line = Line::new(Level::WARN);
            line.text = "lines before this one are lost: the journal did not take them".to_owned();
            line.add("lost", lost.to_string());
            // Were it lost too, the next would say so.
            if self
                .socket
                .send_to(&line.entry(&self.program), SOCKET)
                .is_err()
            {
                self.lost.fetch_add(lost + 1, Ordering::Relaxed);
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.send(Line::of(event));
    }
}

/// Whether the variable's text names this file.
fn names(text: &str, device: u64, inode: u64) -> bool {
    text.split_once(':')
        .is_some_and(|(major, minor)| major.parse() == Ok(device) && minor.parse() == Ok(inode))
}

/// What is known of a line.
struct Line {
    level: Level,
    place: Option<&'static Metadata<'static>>,
    text: String,
    fields: Vec<(String, String)>,
}

impl Line {
    fn new(level: Level) -> Line {
        Line {
            level,
            place: None,
            text: String::new(),
            fields: Vec::new(),
        }
    }

    fn of(event: &Event<'_>) -> Line {
        let metadata = event.metadata();
        let mut line = Line::new(*metadata.level());
        line.place = Some(metadata);
        event.record(&mut line);
        line
    }

    fn add(&mut self, name: &str, value: String) {
        self.fields.push((name.to_owned(), value));
    }

    /// As the protocol has it.
    fn entry(&self, program: &str) -> Vec<u8> {
        let mut entry = Vec::with_capacity(512);
        put(&mut entry, "PRIORITY", priority(self.level));
        put(&mut entry, "SYSLOG_IDENTIFIER", program);
        if let Some(node) = NODE.get() {
            put(&mut entry, "WOLFDISK_NODE_ID", node);
        }
        if let Some(place) = self.place {
            put(&mut entry, "TARGET", place.target());
            put(&mut entry, "CODE_FILE", place.file().unwrap_or_default());
            let number = place.line().unwrap_or_default().to_string();
            put(&mut entry, "CODE_LINE", &number);
        }
        let mut message = self.text.clone();
        for (name, value) in &self.fields {
            let separator = if message.is_empty() { "" } else { " " };
            // Writing to a String cannot fail.
            let _ = write!(message, "{separator}{name}={value}");
            put(&mut entry, &field_name(name), value);
        }
        put(&mut entry, "MESSAGE", &message);
        entry
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            MESSAGE => self.text = format!("{value:?}"),
            name => self.add(name, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE => value.clone_into(&mut self.text),
            name => self.add(name, value.to_owned()),
        }
    }
}

/// The level as syslog(3) numbers it.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// What the journal takes as a name: capitals, digits and underscores.
fn field_name(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        'a'..='z' | '0'..='9' => letter.to_ascii_uppercase(),
        'A'..='Z' => letter,
        _ => '_',
    });
    PREFIX.chars().chain(letters).take(NAME_MAX_BYTES).collect()
}

/// A field: its length is said, so that the value may hold line breaks.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let end = value.floor_char_boundary(JOURNAL_VALUE_MAX_BYTES);
    let value = value.get(..end).unwrap_or_default();
    entry.extend(name.as_bytes());
    entry.push(b'\n');
    entry.extend((value.len() as u64).to_le_bytes());
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What the journal makes of an entry.
    fn read(mut entry: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !entry.is_empty() {
            let end = entry
                .iter()
                .position(|byte| *byte == b'\n')
                .expect("a name");
            let (name, rest) = (&entry[..end], &entry[end + 1..]);
            let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
            let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
            assert_eq!(rest.first(), Some(&b'\n'));
            entry = &rest[1..];
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            fields.push((text(name), text(value)));
        }
        fields
    }

    struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().push(Line::of(event).entry("wolfdisk-toy"));
        }
    }

    #[test]
    fn a_line_is_an_entry_with_its_fields() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Kept(Arc::clone(&kept)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(path = %"/a\nb", count = 3, "odd.name" = "x", "it is {}", "so");
        });
        let entries = kept.lock().clone();
        let fields = read(&entries[0]);
        let value = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(value("PRIORITY"), Some("4"));
        assert_eq!(value("SYSLOG_IDENTIFIER"), Some("wolfdisk-toy"));
        assert_eq!(value("WOLFDISK_PATH"), Some("/a\nb"));
        assert_eq!(value("WOLFDISK_COUNT"), Some("3"));
        assert_eq!(value("WOLFDISK_ODD_NAME"), Some("x"));
        assert_eq!(
            value("MESSAGE"),
            Some("it is so path=/a\nb count=3 odd.name=x")
        );
        assert!(value("CODE_FILE").is_some_and(|file| file.ends_with("journal.rs")));
        assert!(value("CODE_LINE").is_some_and(|line| line.parse::<u32>().is_ok()));
        assert!(value("TARGET").is_some_and(|target| target.contains("journal")));
    }

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        assert!(names("9:22", 9, 22));
        assert!(!names("9:22", 9, 23));
        assert!(!names("9", 9, 22) && !names("", 9, 22) && !names("a:b", 9, 22));
    }

    #[test]
    fn a_name_is_never_one_that_means_something_to_the_journal() {
        assert_eq!(field_name("_pid"), "WOLFDISK__PID");
        assert_eq!(field_name(&"n".repeat(100)).len(), NAME_MAX_BYTES);
    }

    #[test]
    fn a_value_is_no_longer_than_it_may_be() {
        let mut entry = Vec::new();
        put(&mut entry, "A", &"\u{20ac}".repeat(JOURNAL_VALUE_MAX_BYTES));
        let fields = read(&entry);
        assert!(fields[0].1.len() <= JOURNAL_VALUE_MAX_BYTES && !fields[0].1.is_empty());
    }
}
