//! The threads that hash, read and write, so that the reactor only answers.
//!
//! The queue is bounded by the callers: each holds a permit for the bytes it has in flight. A job that
//! panics ends the process (the daemon's panic hook sees to that).

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use crate::limits;

type Job = Box<dyn FnOnce() + Send>;

/// See the module. Dropping it ends the threads after the jobs that are queued.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// The pool is ending.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is ending")]
pub struct Closed;

impl Pool {
    /// One thread for each core.
    ///
    /// # Errors
    /// What the system says.
    pub fn start() -> std::io::Result<Pool> {
        let count = std::thread::available_parallelism().map_or(2, usize::from);
        let shared = Arc::new(Shared::default());
        let threads = (0..count.min(limits::POOL_THREADS_MAX))
            .map(|number| {
                let shared = shared.clone();
                let name = format!("pool-{number}");
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || shared.work())
            })
            .collect::<Result<_, _>>()?;
        Ok(Pool {
            shared,
            threads,
            places: Arc::new(Semaphore::new(limits::POOL_QUEUE_MAX)),
        })
    }

    /// Runs a job and waits for what it gives. Waits for a place in the queue first.
    ///
    /// # Errors
    /// `Closed` if the pool is ending.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Closed> {
        self.queue(job).await?.wait().await
    }

    /// Jobs that run or wait.
    pub fn jobs(&self) -> usize {
        limits::POOL_QUEUE_MAX.saturating_sub(self.places.available_permits())
    }

    /// Queues a job; it runs whether its answer is waited for or not.
    ///
    /// # Errors
    /// `Closed` if the pool is ending.
    pub async fn queue<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Answer<T>, Closed> {
        let place = self
            .places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Closed)?;
        let (answer, waiting) = oneshot::channel();
        self.shared.push(Box::new(move || {
            // Who asked may have gone; the work is done all the same.
            let _ = answer.send(job());
            drop(place);
        }));
        Ok(Answer(waiting))
    }
}

/// What a queued job will give.
pub struct Answer<T>(oneshot::Receiver<T>);

impl<T> Answer<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// `Closed` if the pool has ended without running the job.
    pub async fn wait(self) -> Result<T, Closed> {
        self.0.await.map_err(|_| Closed)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the pool panicked");
            }
        }
    }
}

impl Shared {
    fn push(&self, job: Job) {
        self.queue.lock().jobs.push_back(job);
        self.wake.notify_one();
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            self.wake.wait(&mut queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_jobs_than_places_are_all_done() {
        let pool = Pool::start().expect("threads");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let sum = runtime.block_on(async {
            let mut sum = 0;
            for number in 0..3 * limits::POOL_QUEUE_MAX {
                sum += pool.run(move || number).await.expect("an answer");
            }
            sum
        });
        let count = 3 * limits::POOL_QUEUE_MAX;
        assert_eq!(sum, count * (count - 1) / 2);
    }
}
