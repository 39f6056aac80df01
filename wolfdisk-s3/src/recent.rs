//! What the index answered a moment ago, by name: who asks again within that moment gets the same answer, and of
//! many who ask at once one asks the index.
//!
//! Names come from clients, so both are bounded: how many answers are remembered, also those that there is nothing, and
//! how many are asked for at once.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};

use crate::error::{Failure, Result};
use crate::limits::{LOOKUP_DEADLINE, LOOKUPS_AT_ONCE, REMEMBERED_MAX};

/// An answer and when it was asked for; held by who asks for another.
type Slot<T> = Arc<Mutex<Option<(Instant, T)>>>;

/// See the module.
#[derive(Debug)]
pub struct Recent<T> {
    lifetime: Duration,
    slots: Lock<Slots<T>>,
    lookups: Semaphore,
}

/// Two generations: when the young one is full it becomes the old one, which goes. What is asked for stays young.
#[derive(Debug)]
struct Slots<T> {
    young: HashMap<Box<str>, Slot<T>>,
    old: HashMap<Box<str>, Slot<T>>,
}

impl<T> Slots<T> {
    fn slot(&mut self, name: &str) -> Slot<T> {
        if let Some(slot) = self.young.get(name) {
            return Arc::clone(slot);
        }
        let slot = self.old.remove(name).unwrap_or_default();
        if self.young.len() >= REMEMBERED_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name.into(), Arc::clone(&slot));
        slot
    }
}

impl<T: Clone> Recent<T> {
    /// Answers count for `lifetime` from when they were asked for.
    pub fn new(lifetime: Duration) -> Recent<T> {
        let slots = Slots {
            young: HashMap::new(),
            old: HashMap::new(),
        };
        Recent {
            lifetime,
            slots: Lock::new(slots),
            lookups: Semaphore::new(LOOKUPS_AT_ONCE),
        }
    }

    /// The answer for `name`, from `ask` if there is none that still counts. A failure is nobody's answer.
    ///
    /// # Errors
    /// What `ask` gave; nobody answers in time.
    pub async fn get<A>(&self, name: &str, ask: impl FnOnce() -> A) -> Result<T>
    where
        A: Future<Output = Result<T>>,
    {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.slot(name)
        };
        let answered = async {
            let mut answer = slot.lock().await;
            if let Some((asked, known)) = &*answer
                && asked.elapsed() < self.lifetime
            {
                return Ok(known.clone());
            }
            // Held for good if the semaphore is closed, which it never is.
            let _turn = self.lookups.acquire().await;
            let asked = Instant::now();
            let fresh = ask().await?;
            *answer = Some((asked, fresh.clone()));
            Ok(fresh)
        };
        let answered = tokio::time::timeout(LOOKUP_DEADLINE, answered).await;
        answered.unwrap_or(Err(Failure::Overdue))
    }

    /// How many answers are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.young.len() + slots.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn of_many_who_ask_at_once_one_asks_the_index() {
        let (recent, asked) = (Recent::new(LONG), AtomicUsize::new(0));
        let ask = || {
            recent.get("key", || async {
                tokio::task::yield_now().await;
                Ok(asked.fetch_add(1, Ordering::Relaxed))
            })
        };
        let answers = futures_util::future::join_all((0..100).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(0))));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_answer_counts_for_its_lifetime_and_a_failure_not_at_all() {
        let recent = Recent::new(LONG);
        let failed = recent.get("key", || async { Err(Failure::NoSuchKey) });
        assert!(failed.await.is_err());
        assert!(matches!(recent.get("key", || async { Ok(1) }).await, Ok(1)));
        assert!(matches!(recent.get("key", || async { Ok(2) }).await, Ok(1)));
        let fleeting = Recent::new(Duration::ZERO);
        for answer in 0..3 {
            let got = fleeting.get("key", || async move { Ok(answer) }).await;
            assert!(matches!(got, Ok(got) if got == answer));
        }
    }

    #[tokio::test]
    async fn names_that_nobody_has_take_no_more_than_their_room() {
        let recent = Recent::new(LONG);
        for number in 0..REMEMBERED_MAX * 3 {
            let name = format!("made-up-{number}");
            assert!(recent.get(&name, || async { Ok(()) }).await.is_ok());
            // In use all the time: it is not forgotten for them.
            let used = recent.get("used", || async {
                match number {
                    0 => Ok(()),
                    _ => Err(Failure::NoSuchKey),
                }
            });
            assert!(used.await.is_ok(), "{number}");
            assert!(recent.len() <= REMEMBERED_MAX);
        }
    }
}
