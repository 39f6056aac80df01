//! One thread that runs everything, in an order that is drawn from a seed, on a clock that jumps.
//!
//! Of the tasks that can go on one is drawn and polled. When none can, time goes to the next moment that somebody waits
//! for. So the same seed gives the same run, as long as what runs asks for time and chance here alone.
//!
//! Each task belongs to a machine, as does what it spawns: a power cut drops all tasks of a machine between two polls.
//! Each machine has a clock of its own rate. Channels and locks are those of tokio, which need no reactor.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use openraft::AsyncRuntime;
use openraft::alias::AsyncRuntimeOf;
use openraft_rt::deterministic_rng::DeterministicRng;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::sync::oneshot;

use super::super::Types;
use super::time::{Clock, Elapsed, Moment, Sleep, Timed};
use super::trace::Trace;

/// What daemons run on: its channels are used here too.
type Tokio = AsyncRuntimeOf<Types>;
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whose a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine(pub u32);

/// What is nobody's: the network, clients and the course of events. Its clock is right.
pub const OUTSIDE: Machine = Machine(0);

/// The future that is given to `block_on`.
const MAIN: u64 = 0;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// See the module.
pub struct Sim(Rc<Shared>);

struct Shared {
    /// Tasks that can go on; in their order, since wakes come in none that could be repeated.
    ready: Arc<Mutex<BTreeSet<u64>>>,
    inner: RefCell<Inner>,
}

struct Inner {
    /// In nanoseconds.
    now: u64,
    tasks: BTreeMap<u64, Spawned>,
    /// Who is to be woken when; the second number tells those of one moment apart.
    timers: BTreeMap<(u64, u64), Waker>,
    /// Names of tasks and timers.
    next: u64,
    random: StdRng,
    /// Whose task is polled.
    machine: Machine,
    clocks: BTreeMap<Machine, Clock>,
    after_poll: Option<Rc<dyn Fn(Machine)>>,
    trace: Trace,
}

struct Spawned {
    machine: Machine,
    waker: Waker,
    /// None: it is being polled.
    task: Option<Task>,
}

struct Awake {
    task: u64,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.ready.lock().insert(self.task);
    }
}

impl Sim {
    /// A run that `seed` decides.
    pub fn seeded(seed: u64) -> Sim {
        let inner = Inner {
            now: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            next: MAIN + 1,
            random: StdRng::seed_from_u64(seed),
            machine: OUTSIDE,
            clocks: BTreeMap::new(),
            after_poll: None,
            trace: Trace::default(),
        };
        Sim(Rc::new(Shared {
            ready: Arc::default(),
            inner: RefCell::new(inner),
        }))
    }

    /// A number that differs if anything happened in another order, at another time or to another effect.
    pub fn trace_hash(&self) -> u64 {
        self.0.inner.borrow().trace.hash()
    }

    /// The last things that happened.
    pub fn trace_end(&self) -> String {
        self.0.inner.borrow().trace.end()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _entered = Entered::new(&self.0);
        self.0.inner.borrow_mut().after_poll = None;
        loop {
            let tasks = std::mem::take(&mut self.0.inner.borrow_mut().tasks);
            if tasks.is_empty() {
                return;
            }
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").finish_non_exhaustive()
    }
}

/// The run that this thread is in.
struct Entered(Option<Rc<Shared>>);

impl Entered {
    fn new(shared: &Rc<Shared>) -> Entered {
        Entered(CURRENT.replace(Some(shared.clone())))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl Shared {
    fn waker(&self, task: u64) -> Waker {
        let ready = self.ready.clone();
        Arc::new(Awake { task, ready }).into()
    }

    /// The task that goes on next; time passes until there is one.
    fn next(&self) -> u64 {
        loop {
            if let Some(task) = self.draw() {
                return task;
            }
            let mut inner = self.inner.borrow_mut();
            let due = inner.timers.pop_first();
            let ((at, _), waker) = due.expect("somebody waits for a moment and not for ever");
            inner.now = inner.now.max(at);
            drop(inner);
            waker.wake();
        }
    }

    fn draw(&self) -> Option<u64> {
        let mut ready = self.ready.lock();
        let mut inner = self.inner.borrow_mut();
        let which = match ready.len() {
            0 | 1 => 0,
            count => inner.random.random_range(0..count),
        };
        let task = *ready.iter().nth(which)?;
        ready.remove(&task);
        let now = inner.now;
        inner.trace.count(now, task);
        Some(task)
    }

    fn poll(&self, id: u64) {
        let mut inner = self.inner.borrow_mut();
        let Some(spawned) = inner.tasks.get_mut(&id) else {
            return;
        };
        let Some(mut task) = spawned.task.take() else {
            return;
        };
        let (machine, waker) = (spawned.machine, spawned.waker.clone());
        inner.machine = machine;
        drop(inner);
        let ended = task
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let mut inner = self.inner.borrow_mut();
        let gone = match inner.tasks.get_mut(&id) {
            Some(spawned) if !ended => {
                spawned.task = Some(task);
                None
            }
            // It has ended, or was dropped meanwhile.
            _ => Some((inner.tasks.remove(&id), task)),
        };
        drop(inner);
        drop(gone);
        let mut inner = self.inner.borrow_mut();
        inner.machine = OUTSIDE;
        let hook = inner.after_poll.clone();
        drop(inner);
        if let Some(hook) = hook {
            hook(machine);
        }
    }
}

fn current() -> Rc<Shared> {
    let current = CURRENT.with_borrow(Clone::clone);
    current.expect("this is called where a simulation runs")
}

/// Runs a task on a machine.
pub fn spawn_on<F>(machine: Machine, future: F) -> Joined<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let shared = current();
    let mut inner = shared.inner.borrow_mut();
    let id = inner.next;
    inner.next += 1;
    let (sender, receiver) = oneshot::channel();
    let task: Task = Box::pin(async move {
        // Nobody may wait for what it ends with.
        sender.send(future.await).ok();
    });
    let spawned = Spawned {
        machine,
        waker: shared.waker(id),
        task: Some(task),
    };
    inner.tasks.insert(id, spawned);
    shared.ready.lock().insert(id);
    Joined(receiver)
}

/// Drops all tasks of a machine where they stand.
pub fn kill(machine: Machine) {
    let shared = current();
    let mut inner = shared.inner.borrow_mut();
    let (gone, left) = std::mem::take(&mut inner.tasks)
        .into_iter()
        .partition::<BTreeMap<_, _>, _>(|(_, task)| task.machine == machine);
    inner.tasks = left;
    drop(inner);
    drop(gone);
}

/// Calls `hook` after each poll of a task, with whose it was.
pub fn after_poll(hook: impl Fn(Machine) + 'static) {
    current().inner.borrow_mut().after_poll = Some(Rc::new(hook));
}

/// Has the clock of a machine run at another rate from now on: a million is the right one.
pub fn set_rate(machine: Machine, rate: u64) {
    let shared = current();
    let mut inner = shared.inner.borrow_mut();
    let now = inner.now;
    let clock = inner.clocks.entry(machine).or_default();
    *clock = clock.at_rate(now, rate);
}

/// Something by chance.
pub fn by_chance<T>(draw: impl FnOnce(&mut StdRng) -> T) -> T {
    draw(&mut current().inner.borrow_mut().random)
}

/// Something that happened, for the trace.
pub fn note(what: fmt::Arguments<'_>) {
    let shared = current();
    let mut inner = shared.inner.borrow_mut();
    let now = inner.now;
    inner.trace.note(now, what);
}

/// What the clock of the machine shows that is asked.
pub(super) fn clock() -> Moment {
    let shared = current();
    let inner = shared.inner.borrow();
    let clock = inner.clocks.get(&inner.machine);
    clock.copied().unwrap_or_default().reads(inner.now)
}

/// When the clock of the machine that asks will show that.
pub(super) fn when(moment: Moment) -> u64 {
    let shared = current();
    let inner = shared.inner.borrow();
    let clock = inner.clocks.get(&inner.machine);
    clock.copied().unwrap_or_default().when(moment)
}

/// None: that time has come. Else `waker` is called then, and the timer's name is given back.
pub(super) fn wake_at(at: u64, waker: &Waker) -> Option<(u64, u64)> {
    let shared = current();
    let mut inner = shared.inner.borrow_mut();
    if at <= inner.now {
        return None;
    }
    let timer = (at, inner.next);
    inner.next += 1;
    inner.timers.insert(timer, waker.clone());
    Some(timer)
}

/// Nobody waits for a timer any more.
pub(super) fn forget(timer: (u64, u64)) {
    // What outlives the simulation has no timers there.
    let Some(shared) = CURRENT.with_borrow(Clone::clone) else {
        return;
    };
    let gone = shared.inner.borrow_mut().timers.remove(&timer);
    drop(gone);
}

/// What a task ends with.
pub struct Joined<T>(oneshot::Receiver<T>);

/// The task was dropped before its end.
#[derive(Debug, thiserror::Error)]
#[error("its machine has lost its power")]
pub struct Dropped;

impl<T> Future for Joined<T> {
    type Output = Result<T, Dropped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map_err(|_| Dropped)
    }
}

impl AsyncRuntime for Sim {
    type JoinError = Dropped;
    type JoinHandle<T: Send + 'static> = Joined<T>;
    type Sleep = Sleep;
    type Instant = Moment;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = Timed<T>;
    type ThreadLocalRng = <DeterministicRng<Tokio> as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <Tokio as AsyncRuntime>::Mpsc;
    type Watch = <Tokio as AsyncRuntime>::Watch;
    type Oneshot = <Tokio as AsyncRuntime>::Oneshot;
    type Mutex<T: Send + 'static> = <Tokio as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Joined<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let machine = current().inner.borrow().machine;
        spawn_on(machine, future)
    }

    fn sleep(duration: Duration) -> Sleep {
        Sleep::until(clock() + duration)
    }

    fn sleep_until(deadline: Moment) -> Sleep {
        Sleep::until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Timed<F> {
        Timed::new(future, clock() + duration)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Moment, future: F) -> Timed<F> {
        Timed::new(future, deadline)
    }

    fn is_panic(_: &Dropped) -> bool {
        // A panic ends the whole run.
        false
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        // It is seeded from what the future runs in.
        let seed = by_chance(|random| random.next_u64());
        let drawn = async { DeterministicRng::<Tokio>::thread_rng() };
        let drawn = DeterministicRng::<Tokio>::scope(seed, drawn).now_or_never();
        drawn.expect("it waits for nothing")
    }

    fn new(_: usize) -> Sim {
        Sim::seeded(0)
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        let _entered = Entered::new(&self.0);
        let mut future = pin!(future);
        let waker = self.0.waker(MAIN);
        waker.wake_by_ref();
        loop {
            match self.0.next() {
                MAIN => {
                    let mut context = Context::from_waker(&waker);
                    if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                        return done;
                    }
                }
                task => self.0.poll(task),
            }
        }
    }
}
