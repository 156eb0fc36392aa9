//! Where the component's allocator puts blocks; `allocator` does as it says.
//!
//! A call to the engine allocates a handful of blocks and frees all of them, so that is what this is made for: blocks
//! are laid one after the other, and once none is left the next one is laid at the beginning again. A block in the
//! middle is not used again before that; the last one can grow, shrink and go.

/// The memory from one address to another, and what is taken of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arena {
    start: usize,
    end: usize,
    /// The address after the last block.
    next: usize,
    /// Blocks in use.
    blocks: usize,
}

/// Why a block cannot be laid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// It ends beyond the memory, by this many bytes.
    Missing(usize),
    /// It ends beyond all addresses.
    Never,
}

impl Arena {
    /// The memory from `start` up to, and without, `end`.
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            next: start,
            blocks: 0,
        }
    }

    /// Says that the memory goes on for `bytes` after its end.
    pub(crate) const fn extend(&mut self, bytes: usize) {
        self.end = self.end.saturating_add(bytes);
    }

    /// Lays a block of `size` bytes at an address that is a multiple of `align`, a power of two.
    pub(crate) fn lay(&mut self, size: usize, align: usize) -> Result<usize, Full> {
        let at = self.next.checked_next_multiple_of(align).ok_or(Full::Never)?;
        self.reach(at.checked_add(size).ok_or(Full::Never)?)?;
        self.blocks = self.blocks.saturating_add(1);
        Ok(at)
    }

    /// Makes the block at `at` larger or smaller where it lies. None where it is not the last one: then it stays as
    /// it is.
    pub(crate) fn resize(&mut self, at: usize, old: usize, new: usize) -> Option<Result<(), Full>> {
        self.is_last(at, old)
            .then(|| self.reach(at.checked_add(new).ok_or(Full::Never)?))
    }

    /// Takes a block back.
    pub(crate) fn free(&mut self, at: usize, size: usize) {
        self.blocks = self.blocks.saturating_sub(1);
        if self.blocks == 0 {
            self.next = self.start;
        } else if self.is_last(at, size) {
            self.next = at;
        }
    }

    fn is_last(&self, at: usize, size: usize) -> bool {
        at.checked_add(size) == Some(self.next)
    }

    fn reach(&mut self, next: usize) -> Result<(), Full> {
        match next.checked_sub(self.end) {
            None | Some(0) => {
                self.next = next;
                Ok(())
            }
            Some(missing) => Err(Full::Missing(missing)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "tests"
    )]

    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn blocks_lie_one_after_the_other_each_at_a_multiple_of_its_alignment() {
        let mut arena = Arena::new(1_001, 2_000);
        assert_eq!(arena.lay(3, 1), Ok(1_001));
        assert_eq!(arena.lay(8, 8), Ok(1_008));
        assert_eq!(arena.lay(1, 16), Ok(1_024));
    }

    #[test]
    fn the_memory_starts_over_once_no_block_is_left() {
        let mut arena = Arena::new(1_000, 2_000);
        let (one, other) = (arena.lay(400, 8).unwrap(), arena.lay(400, 8).unwrap());
        assert_eq!(arena.lay(400, 8), Err(Full::Missing(200)));
        arena.free(one, 400);
        // Its place is not used again while another block is there.
        assert_eq!(arena.lay(400, 8), Err(Full::Missing(200)));
        arena.free(other, 400);
        assert_eq!(arena.lay(1_000, 8), Ok(1_000));
    }

    #[test]
    fn the_last_block_makes_room_when_it_goes() {
        let mut arena = Arena::new(0, 100);
        arena.lay(10, 1).unwrap();
        let last = arena.lay(90, 1).unwrap();
        arena.free(last, 90);
        assert_eq!(arena.lay(80, 1), Ok(last));
    }

    #[test]
    fn the_last_block_is_resized_in_place_and_no_other() {
        let mut arena = Arena::new(0, 100);
        let (first, last) = (arena.lay(10, 1).unwrap(), arena.lay(10, 1).unwrap());
        assert_eq!(arena.resize(first, 10, 5), None);
        assert_eq!(arena.resize(last, 10, 90), Some(Ok(())));
        assert_eq!(arena.resize(last, 90, 91), Some(Err(Full::Missing(1))));
        assert_eq!(arena.resize(last, 90, 20), Some(Ok(())));
        assert_eq!(arena.lay(1, 1), Ok(30));
    }

    #[test]
    fn an_extended_memory_has_room_for_what_was_missing() {
        let mut arena = Arena::new(0, 100);
        arena.lay(90, 1).unwrap();
        assert_eq!(arena.lay(20, 1), Err(Full::Missing(10)));
        arena.extend(10);
        assert_eq!(arena.lay(20, 1), Ok(90));
    }

    #[test]
    fn a_block_beyond_all_addresses_is_never_laid() {
        let mut arena = Arena::new(16, 100);
        assert_eq!(arena.lay(usize::MAX, 1), Err(Full::Never));
        assert_eq!(
            arena.lay(usize::MAX - 16, 1),
            Err(Full::Missing(usize::MAX - 100))
        );
        let block = arena.lay(10, 1).unwrap();
        assert_eq!(arena.resize(block, 10, usize::MAX), Some(Err(Full::Never)));
        assert_eq!(arena.lay(1, 1), Ok(26), "what failed changed nothing");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Lay { size: usize, power: u32 },
        Resize { which: usize, size: usize },
        Free { which: usize },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1..300usize, 0..6u32).prop_map(|(size, power)| Step::Lay { size, power }),
            (0..8usize, 1..300usize).prop_map(|(which, size)| Step::Resize { which, size }),
            (0..8usize).prop_map(|which| Step::Free { which }),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn blocks_in_use_never_overlap_and_never_leave_the_memory(steps in steps()) {
            let (start, end) = (10, 1_500);
            let mut arena = Arena::new(start, end);
            let mut blocks: Vec<(usize, usize)> = Vec::new();
            for step in steps {
                match step {
                    Step::Lay { size, power } => {
                        if let Ok(at) = arena.lay(size, 1 << power) {
                            prop_assert_eq!(at % (1 << power), 0);
                            blocks.push((at, size));
                        }
                    }
                    Step::Resize { which, size } if which < blocks.len() => {
                        let (at, old) = blocks[which];
                        if arena.resize(at, old, size) == Some(Ok(())) {
                            blocks[which].1 = size;
                        }
                    }
                    Step::Free { which } if which < blocks.len() => {
                        let (at, size) = blocks.swap_remove(which);
                        arena.free(at, size);
                    }
                    _ => {}
                }
                let mut sorted = blocks.clone();
                sorted.sort_unstable();
                prop_assert!(sorted.iter().all(|(at, size)| *at >= start && at + size <= end));
                prop_assert!(sorted.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
            }
            for (at, size) in blocks {
                arena.free(at, size);
            }
            prop_assert_eq!(arena.lay(end - start, 1), Ok(start));
        }
    }
}
