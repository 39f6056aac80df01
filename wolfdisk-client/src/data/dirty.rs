//! Written ranges of one file that nobody else has seen yet.
//!
//! Runs do not overlap and none crosses a multiple of the window (the chunk size), so that a full
//! window can be sealed as one chunk. Neighbours that merely touch may stay apart: joining them on
//! every write would make backward writes quadratic.

use std::collections::BTreeMap;

use bytes::Bytes;

/// A run of this length will probably fill its window: room for all of it is reserved at once.
const RESERVE_FROM_BYTES: usize = 128 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct DirtyBuffer {
    runs: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
    window: u64,
}

impl DirtyBuffer {
    /// An empty buffer whose runs do not cross multiples of `window`.
    pub(crate) fn new(window: u64) -> DirtyBuffer {
        DirtyBuffer {
            runs: BTreeMap::new(),
            bytes: 0,
            window: window.max(1),
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing is dirty.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The first byte after the last dirty one.
    pub(crate) fn end(&self) -> Option<u64> {
        self.runs
            .last_key_value()
            .map(|(start, run)| start + run.len() as u64)
    }

    /// Writes `data`; later reads and takes see it over what was there.
    pub(crate) fn write(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let room = self.window - offset % self.window;
            let count = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
            let (now, rest) = data.split_at(count);
            self.write_in_window(offset, now);
            offset += count as u64;
            data = rest;
        }
    }

    fn write_in_window(&mut self, offset: u64, data: &[u8]) {
        let start = match self.runs.range(..=offset).next_back() {
            Some((&start, run))
                if start + run.len() as u64 >= offset
                    && start / self.window == offset / self.window =>
            {
                start
            }
            _ => offset,
        };
        let before = self.runs.get(&start).map_or(0, Vec::len);
        let run = self.runs.entry(start).or_default();
        let at = (offset - start) as usize;
        let overlap = (run.len() - at).min(data.len());
        let (over, beyond) = data.split_at(overlap);
        if let Some(target) = run.get_mut(at..at + overlap) {
            target.copy_from_slice(over);
        }
        if run.len() + beyond.len() >= RESERVE_FROM_BYTES
            && run.capacity() < run.len() + beyond.len()
        {
            let whole = self.window - start % self.window;
            run.reserve_exact(
                usize::try_from(whole)
                    .unwrap_or(0)
                    .saturating_sub(run.len()),
            );
        }
        run.extend_from_slice(beyond);
        self.bytes += run.len() - before;
        self.absorb_overlapped(start);
    }

    /// Cuts what the run at `start` now covers out of the runs after it.
    fn absorb_overlapped(&mut self, start: u64) {
        let Some(end) = self.runs.get(&start).map(|run| start + run.len() as u64) else {
            return;
        };
        while let Some((&next, _)) = self.runs.range(start + 1..end).next() {
            let Some(mut covered) = self.runs.remove(&next) else {
                return;
            };
            let hidden = ((end - next) as usize).min(covered.len());
            self.bytes -= hidden;
            if hidden < covered.len() {
                covered.drain(..hidden);
                self.runs.insert(end, covered);
            }
        }
    }

    /// Gives every dirty part of `[from, to)`, in order.
    pub(crate) fn overlaps(&self, from: u64, to: u64, mut sink: impl FnMut(u64, &[u8])) {
        let first = self
            .runs
            .range(..=from)
            .next_back()
            .map_or(from, |(&start, _)| start);
        for (&start, run) in self.runs.range(first..to) {
            let end = start + run.len() as u64;
            let (low, high) = (from.max(start), to.min(end));
            if low < high
                && let Some(part) = run.get((low - start) as usize..(high - start) as usize)
            {
                sink(low, part);
            }
        }
    }

    /// Forgets everything at and beyond `size`; says how many bytes that were.
    pub(crate) fn clip(&mut self, size: u64) -> usize {
        let before = self.bytes;
        let gone = self.runs.split_off(&size);
        self.bytes -= gone.values().map(Vec::len).sum::<usize>();
        if let Some((&start, run)) = self.runs.iter_mut().next_back() {
            let keep = ((size - start) as usize).min(run.len());
            self.bytes -= run.len() - keep;
            run.truncate(keep);
        }
        before - self.bytes
    }

    /// Takes the window that holds `offset` if one run fills it.
    pub(crate) fn take_full(&mut self, offset: u64) -> Option<(u64, Bytes)> {
        let start = offset - offset % self.window;
        if self.runs.get(&start)?.len() as u64 != self.window {
            return None;
        }
        let run = self.runs.remove(&start)?;
        self.bytes -= run.len();
        Some((start, Bytes::from(run)))
    }

    /// Takes everything, in order of offsets.
    pub(crate) fn take_all(&mut self) -> Vec<(u64, Bytes)> {
        self.bytes = 0;
        std::mem::take(&mut self.runs)
            .into_iter()
            .map(|(at, run)| (at, Bytes::from(run)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: u64 = 64;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Clip(u64),
        TakeFull(u64),
        TakeAll,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0u64..400, prop::collection::vec(any::<u8>(), 0..150)).prop_map(|(at, data)| Step::Write(at, data)),
            1 => (0u64..500).prop_map(Step::Clip),
            2 => (0u64..500).prop_map(Step::TakeFull),
            1 => Just(Step::TakeAll),
        ];
        prop::collection::vec(step, 1..40)
    }

    fn check(buffer: &DirtyBuffer, model: &[Option<u8>]) {
        let mut seen = vec![None; model.len()];
        buffer.overlaps(0, model.len() as u64, |at, part| {
            for (index, byte) in part.iter().enumerate() {
                seen[at as usize + index] = Some(*byte);
            }
        });
        assert_eq!(seen, model);
        assert_eq!(buffer.bytes(), model.iter().flatten().count());
        let end = model
            .iter()
            .rposition(Option::is_some)
            .map(|at| at as u64 + 1);
        assert_eq!(buffer.end(), end);
    }

    proptest! {
        #[test]
        fn it_is_a_sparse_array(steps in steps(), from in 0u64..600, length in 0u64..100) {
            let mut buffer = DirtyBuffer::new(WINDOW);
            let mut model: Vec<Option<u8>> = vec![None; 600];
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        buffer.write(at, &data);
                        for (index, byte) in data.iter().enumerate() {
                            model[at as usize + index] = Some(*byte);
                        }
                    }
                    Step::Clip(size) => {
                        let gone = model[size as usize..].iter().flatten().count();
                        prop_assert_eq!(buffer.clip(size), gone);
                        model[size as usize..].fill(None);
                    }
                    Step::TakeFull(at) => {
                        if let Some((start, data)) = buffer.take_full(at) {
                            prop_assert_eq!((start % WINDOW, data.len() as u64), (0, WINDOW));
                            for (index, byte) in data.iter().enumerate() {
                                prop_assert_eq!(model[start as usize + index].take(), Some(*byte));
                            }
                        }
                    }
                    Step::TakeAll => {
                        for (start, data) in buffer.take_all() {
                            prop_assert!(!data.is_empty());
                            prop_assert_eq!(start / WINDOW, (start + data.len() as u64 - 1) / WINDOW);
                            for (index, byte) in data.iter().enumerate() {
                                prop_assert_eq!(model[start as usize + index].take(), Some(*byte));
                            }
                        }
                    }
                }
                check(&buffer, &model);
            }
            let to = (from + length).min(600);
            buffer.overlaps(from.min(to), to, |at, part| {
                assert!(at >= from && at + part.len() as u64 <= to);
            });
        }
    }

    #[test]
    fn a_window_written_in_order_is_sealed() {
        let mut buffer = DirtyBuffer::new(WINDOW);
        for at in 0..8 {
            assert!(buffer.take_full(at * 8).is_none());
            buffer.write(at * 8, &[at as u8; 8]);
        }
        assert_eq!(
            buffer.take_full(63).map(|(at, data)| (at, data.len())),
            Some((0, 64))
        );
        assert!(buffer.is_empty());
    }
}
