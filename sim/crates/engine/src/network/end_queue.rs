//! The next end of each class, earliest first, where an entry moves when its class changes its rate.

/// Marks a class that has no entry.
const ABSENT: u32 = u32::MAX;

/// Children of a node: four compare faster than two, because they share a cache line.
const ARITY: usize = 4;

/// An end and the class that it belongs to, ordered in this order.
type Entry = (u64, u32);

/// An indexed heap: at most one entry for each class.
#[derive(Debug, Default)]
pub(super) struct EndQueue {
    heap: Vec<Entry>,
    positions: Vec<u32>,
}

impl EndQueue {
    /// Makes room for one more class.
    pub(super) fn add_class(&mut self) {
        self.positions.push(ABSENT);
    }

    /// The earliest end and its class.
    pub(super) fn first(&self) -> Option<Entry> {
        self.heap.first().copied()
    }

    /// Sets, moves or takes away the entry of `class`.
    pub(super) fn set(&mut self, class: u32, end: Option<u64>) {
        let position = self.positions[class as usize];
        match end {
            Some(end) if position == ABSENT => {
                self.heap.push((end, class));
                self.rise(self.heap.len() - 1, (end, class));
            }
            Some(end) => {
                let position = position as usize;
                if end < self.heap[position].0 {
                    self.rise(position, (end, class));
                } else if end > self.heap[position].0 {
                    self.sink(position, (end, class));
                }
            }
            None if position == ABSENT => {}
            None => self.remove(class, position as usize),
        }
    }

    fn remove(&mut self, class: u32, position: usize) {
        self.positions[class as usize] = ABSENT;
        let last = self.heap.pop().expect("the class has an entry");
        if last.1 == class {
            return;
        }
        if last < self.heap[position] {
            self.rise(position, last);
        } else {
            self.sink(position, last);
        }
    }

    /// Puts `entry` at `position` or above it.
    fn rise(&mut self, mut position: usize, entry: Entry) {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(position, self.heap[parent]);
            position = parent;
        }
        self.put(position, entry);
    }

    /// Puts `entry` at `position` or below it.
    fn sink(&mut self, mut position: usize, entry: Entry) {
        loop {
            let first = position * ARITY + 1;
            let children = first..(first + ARITY).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child]) else { break };
            if entry <= self.heap[least] {
                break;
            }
            self.put(position, self.heap[least]);
            position = least;
        }
        self.put(position, entry);
    }

    fn put(&mut self, position: usize, entry: Entry) {
        self.heap[position] = entry;
        self.positions[entry.1 as usize] = u32::try_from(position).expect("fewer entries than classes");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain table whose minimum is looked for.
        #[test]
        fn the_first_entry_is_the_least(changes in prop::collection::vec((0u32..20, prop::option::of(0u64..50)), 0..200)) {
            let mut queue = EndQueue::default();
            let mut table = [None; 20];
            (0..20).for_each(|_| queue.add_class());
            for (class, end) in changes {
                queue.set(class, end);
                table[class as usize] = end;
                let least = (0u32..20).filter_map(|class| Some((table[class as usize]?, class))).min();
                prop_assert_eq!(queue.first(), least);
            }
        }
    }
}
