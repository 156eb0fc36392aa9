//! The component's allocator: an [`Arena`] over the linear memory, from the end of the component's data on.
//!
//! A general allocator is 4.5 KiB of code here, a tenth of the component, and begins by asking for a page more, which
//! costs a fresh instance more than the decision that it was made for. This one lives in what is left of the first
//! page.
//!
//! It wipes what is freed (R1): the generated code frees the texts that it has handed to the host, and an instance may
//! live on.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;
use core::ptr::with_exposed_provenance_mut;

use crate::arena::{Arena, Full};
use crate::runtime::fail;

/// The unit in which a memory grows.
const PAGE: usize = 65_536;

unsafe extern "C" {
    /// Where the linker says that the data ends: the symbol's address, not its value.
    safe static __heap_base: u8;
}

#[global_allocator]
static ALLOCATOR: Wiping = Wiping {
    arena: Cell::new(None),
};

struct Wiping {
    /// None before the first block.
    arena: Cell<Option<Arena>>,
}

// SAFETY: wasm32 without atomics, which this crate is built for, has one thread, and so nothing is shared.
unsafe impl Sync for Wiping {}

impl Wiping {
    /// Asks the arena, once more after the memory has grown if that is what it takes.
    /// Without memory the call ends as a fault.
    fn ask<T>(&self, question: impl Fn(&mut Arena) -> Result<T, Full>) -> T {
        let mut arena = self.arena();
        let mut answer = question(&mut arena);
        if let Err(Full::Missing(bytes)) = answer {
            let pages = bytes.div_ceil(PAGE);
            if memory_grow::<0>(pages) != usize::MAX {
                arena.extend(pages.saturating_mul(PAGE));
                answer = question(&mut arena);
            }
        }
        self.arena.set(Some(arena));
        answer.unwrap_or_else(|_| fail("out of memory"))
    }

    fn arena(&self) -> Arena {
        // All memory after the data is ours: nothing else in the component asks for any.
        self.arena.get().unwrap_or_else(|| {
            Arena::new(
                (&raw const __heap_base).addr(),
                memory_size::<0>().saturating_mul(PAGE),
            )
        })
    }
}

/// Overwrites `size` bytes.
///
/// # Safety
/// They are the caller's to write to.
unsafe fn wipe(at: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { at.write_bytes(0, size) };
    // Whatever the compiler believes about memory that is given up: somebody may look.
    core::hint::black_box(at);
}

// SAFETY: a block is laid by an arena, which lays it inside the linear memory, after the data, aligned as asked for and
// apart from all blocks in use; it moves or ends by the caller's word only. Nothing here unwinds.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        with_exposed_provenance_mut(self.ask(|arena| arena.lay(layout.size(), layout.align())))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's to give up and has this many bytes.
        unsafe { wipe(block, layout.size()) };
        let mut arena = self.arena();
        arena.free(block.addr(), layout.size());
        self.arena.set(Some(arena));
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (at, old) = (block.addr(), layout.size());
        if let Some(surplus) = old.checked_sub(size) {
            // SAFETY: the block has `old` bytes, of which the caller gives up what comes after the first `size`.
            unsafe { wipe(block.wrapping_add(size), surplus) };
        }
        let resized = self.ask(|arena| arena.resize(at, old, size).transpose());
        if resized.is_some() || size <= old {
            return block;
        }
        // SAFETY: the size is the caller's, who promises that it is a layout's with this alignment.
        let layout_new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `size` is larger than `old`, so not zero.
        let moved = unsafe { self.alloc(layout_new) };
        // SAFETY: the old block has `old` bytes and the new one more; blocks in use lie apart.
        unsafe { moved.copy_from_nonoverlapping(block, old) };
        // SAFETY: the block is the caller's to give up.
        unsafe { self.dealloc(block, layout) };
        moved
    }
}
