//! Runs one target: its corpus, which is committed, and mutations of it, until the time is over.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wolfdisk_tests::{Random, is_long_run, seed};

use super::allocations::peak_of;
use super::mutation::mutant;
use super::panics::{caught, tell};

/// Seconds for each target; two run at a time on two cores.
const SECONDS_VARIABLE: &str = "WOLFDISK_FUZZ_SECONDS";
const SECONDS: u64 = 15;
const SECONDS_LONG: u64 = 3600;
/// Writes the corpus anew instead of comparing with it.
const WRITE_VARIABLE: &str = "WOLFDISK_WRITE_CORPUS";
/// What a decoder may have in use at once: errors and the like, or what its target says, and so much for each byte
/// of input. An empty
/// message in a list takes two bytes and becomes a struct of 200; a list that grows is there twice, and with what
/// it is written and read again as there are three of them.
pub const MEMORY_BYTES: usize = 64 * 1024;
const MEMORY_FACTOR: usize = 1024;
/// No input grows beyond so many times the longest of the corpus: decoders do not behave otherwise with more.
const GROWTH: usize = 4;
/// Inputs that decoded and are mutated further, beside the corpus.
const KEPT_MAX: usize = 256;
/// An input that is not done with by then never ends.
const STUCK: Duration = Duration::from_secs(60);

/// A decoder under test.
pub struct Target {
    /// The folder of its corpus.
    pub name: &'static str,
    /// Real encodings.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Makes the checksums right again.
    pub reseal: fn(&mut [u8]),
    /// What an input stands for. So a long one is short in the repository, and its changes hit what matters.
    pub expand: fn(&[u8]) -> Cow<'_, [u8]>,
    /// What it may take whatever the input: [`MEMORY_BYTES`] but where a library takes more.
    pub memory_bytes: usize,
    /// Decodes, and tells whether that gave a value. Panics if the value is not the same when written and read again.
    pub check: fn(&[u8]) -> bool,
}

/// For inputs that stand for themselves.
pub fn as_it_is(input: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(input)
}

fn time_for_each() -> Duration {
    let given = std::env::var(SECONDS_VARIABLE).ok();
    let seconds = given.map(|text| text.parse().expect("a number of seconds"));
    let usual = if is_long_run() { SECONDS_LONG } else { SECONDS };
    Duration::from_secs(seconds.unwrap_or(usual))
}

/// The corpus. It is what this build writes: a format that changed by mistake shows here.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let seeds = (target.seeds)();
    let path = |number: usize| folder.join(format!("{number:02}.bin"));
    if std::env::var_os(WRITE_VARIABLE).is_some() {
        fs::create_dir_all(&folder).expect("a folder");
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(path(number), seed).expect("written");
        }
    }
    for (number, seed) in seeds.iter().enumerate() {
        let path = path(number);
        let kept = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            kept == *seed,
            "{} is written otherwise today: a format must not change without a new version; \
             {WRITE_VARIABLE}=1 writes the corpus anew",
            path.display()
        );
    }
    let files = fs::read_dir(&folder).expect("the corpus").count();
    assert_eq!(files, seeds.len(), "{}", folder.display());
    seeds
}

/// Runs a target.
pub fn fuzz(target: &Target) {
    let mut pool = corpus(target);
    let watch = Watch::start(target.name);
    for seed in &pool {
        assert!(
            try_input(target, seed, &watch),
            "{} refuses {seed:02x?}",
            target.name
        );
    }
    let length_max = GROWTH * pool.iter().map(Vec::len).max().unwrap_or(0);
    let seed = seed();
    tell(&format!("{}: WOLFDISK_SEED={seed}", target.name));
    let mut random = Random::from_seed(seed);
    let (own, end) = (pool.len(), Instant::now() + time_for_each());
    let (mut tried, mut decoded) = (0_u64, 0_u64);
    while Instant::now() < end {
        let mut input = mutant(&mut random, &pool, length_max);
        if random.below(8) != 0 {
            (target.reseal)(&mut input);
        }
        tried += 1;
        if try_input(target, &input, &watch) {
            decoded += 1;
            if pool.len() < own + KEPT_MAX {
                pool.push(input);
            } else {
                let at = own + usize::try_from(random.below(KEPT_MAX as u64)).expect("small");
                pool[at] = input;
            }
        }
    }
    println!("{}: {tried} inputs, {decoded} of them decoded", target.name);
    assert!(decoded > 0, "no mutation gets past the checksums");
    assert!(decoded < tried, "nothing was refused");
}

fn try_input(target: &Target, input: &[u8], watch: &Watch) -> bool {
    watch.begin(input);
    let whole = (target.expand)(input);
    let (result, peak) = peak_of(|| caught(|| (target.check)(&whole)));
    let allowed = target.memory_bytes + MEMORY_FACTOR * whole.len();
    match result {
        Ok(decoded) if peak <= allowed => decoded,
        Ok(_) => {
            keep(target.name, input);
            panic!(
                "{} bytes made it use {peak} bytes, {allowed} are allowed",
                whole.len()
            );
        }
        Err(panic) => {
            keep(target.name, input);
            panic!("{panic}");
        }
    }
}

/// Keeps an input that was taken badly, and says where.
fn keep(name: &str, input: &[u8]) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.failed"));
    match fs::write(&path, input) {
        Ok(()) => eprintln!("the input is in {}", path.display()),
        Err(error) => eprintln!("the input cannot be kept in {}: {error}", path.display()),
    }
}

/// Ends the process when an input takes forever.
struct Watch {
    current: Arc<Mutex<(u64, Vec<u8>)>>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Watch {
    fn start(name: &'static str) -> Watch {
        let current = Arc::default();
        let (ended, end) = channel();
        let of_thread = Arc::clone(&current);
        let thread = std::thread::spawn(move || look(name, &of_thread, &end));
        Watch {
            current,
            thread: Some((ended, thread)),
        }
    }

    fn begin(&self, input: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.0 += 1;
        current.1.clear();
        current.1.extend_from_slice(input);
    }
}

fn look(name: &str, current: &Mutex<(u64, Vec<u8>)>, end: &Receiver<()>) {
    let mut last = None;
    while end.recv_timeout(STUCK) == Err(RecvTimeoutError::Timeout) {
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if last == Some(current.0) {
            eprintln!("{name} does not end");
            keep(name, &current.1);
            std::process::abort();
        }
        last = Some(current.0);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((ended, thread)) = self.thread.take() {
            drop(ended);
            let _ = thread.join();
        }
    }
}
