//! The memory of a program that starts, does one thing and ends.
//!
//! A start of a container allocates a few thousand small blocks and lives for milliseconds: keeping books on what was freed costs
//! more than the memory is worth. So the first blocks are cut, one behind the other, from one region; what is freed there
//! stays unused, unless it was cut last. When the region is used up, and for large blocks, the system's allocator serves: a
//! process that lives long wastes the region once and no more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire},
};

/// Bytes that are cut from the region before the system's allocator serves: a start needs about three quarters of it.
const SIZE: usize = 640 * 1024;

/// Bytes from which a block is the system's: few blocks of this size would use the region up.
const LARGE: usize = 16 * 1024;

/// The allocator; name it in a program with `#[global_allocator]`.
#[derive(Debug)]
pub struct StartArena {
    region: Region,
    /// Offset of the first byte that was not cut yet.
    next: AtomicUsize,
}

#[derive(Debug)]
#[repr(align(4096))]
struct Region(UnsafeCell<[u8; SIZE]>);

// SAFETY: bytes of the region are reached through blocks alone, and no two living blocks overlap: each range is handed out by
// one successful exchange of `next`.
unsafe impl Sync for Region {}

impl StartArena {
    /// An arena of which nothing was used.
    #[expect(
        clippy::large_stack_arrays,
        reason = "made at compile time, for a static: it is never on a stack"
    )]
    pub const fn new() -> Self {
        Self { region: Region(UnsafeCell::new([0; SIZE])), next: AtomicUsize::new(0) }
    }

    /// Asks the kernel for the first `bytes` at once: one call in place of a page fault for each page. A kernel without
    /// `MADV_POPULATE_WRITE` (before 5.14) gives them one by one.
    pub fn populate(&self, bytes: usize) {
        // SAFETY: the range lies in the region, and populating it changes no byte (madvise(2)).
        let _ = unsafe { libc::madvise(self.base().cast(), bytes.min(SIZE), libc::MADV_POPULATE_WRITE) };
    }

    const fn base(&self) -> *mut u8 {
        self.region.0.get().cast()
    }

    /// The offset of a block in the region; `None` for one of the system's.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().wrapping_sub(self.base().addr());
        (offset < SIZE).then_some(offset)
    }

    fn cut(&self, layout: Layout) -> Option<*mut u8> {
        if layout.size() >= LARGE {
            return None;
        }
        let mut next = self.next.load(Acquire);
        loop {
            // The region's own alignment is a page's, and no small block asks for more.
            let start = next.next_multiple_of(layout.align());
            let end = start + layout.size();
            if end > SIZE {
                return None;
            }
            match self.next.compare_exchange_weak(next, end, AcqRel, Acquire) {
                // SAFETY: `start` lies in the region.
                Ok(_) => return Some(unsafe { self.base().add(start) }),
                Err(other) => next = other,
            }
        }
    }

    /// Moves the end of the block that was cut last; says whether it did.
    fn move_end(&self, from: usize, to: usize) -> bool {
        to <= SIZE && self.next.compare_exchange(from, to, AcqRel, Acquire).is_ok()
    }
}

impl Default for StartArena {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a block is either a range of the region that no other living block overlaps, or the system's own, and goes back to
// where it came from, which its address tells.
unsafe impl GlobalAlloc for StartArena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is the system's condition too.
        self.cut(layout).unwrap_or_else(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(offset) => {
                self.move_end(offset + layout.size(), offset);
            }
            // SAFETY: what does not lie in the region came from the system with this layout.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(block) else {
            // SAFETY: as in `dealloc`.
            return unsafe { System.realloc(block, layout, size) };
        };
        if size < LARGE && self.move_end(offset + layout.size(), offset + size) {
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: `size` is not zero and, rounded up to the alignment, no more than `isize::MAX`: the caller's promise.
        let grown = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !grown.is_null() {
            // SAFETY: both blocks are at least `layout.size()` long, and they do not overlap: both are alive.
            unsafe { ptr::copy_nonoverlapping(block, grown, layout.size()) };
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn bytes(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn blocks_of_all_sizes_and_alignments_keep_what_was_written() {
        static ARENA: StartArena = StartArena::new();
        let arena = &ARENA;
        arena.populate(SIZE);
        let mut blocks = Vec::new();
        for round in 0..2_000_usize {
            let layout = Layout::from_size_align(1 + round * 37 % 900, 1 << (round % 7)).unwrap();
            // SAFETY: the layout is not empty, and the bytes written are the block's own.
            let block = unsafe {
                let block = arena.alloc(layout);
                block.write_bytes(round.to_le_bytes()[0], layout.size());
                block
            };
            assert_eq!(block.addr() % layout.align(), 0);
            blocks.push((block, layout, round.to_le_bytes()[0]));
        }
        assert!(blocks.iter().any(|(block, ..)| arena.offset(*block).is_none()), "the region was used up");
        for (block, layout, mark) in blocks {
            // SAFETY: the block is alive, was written whole, and is freed once.
            unsafe {
                assert!((0..layout.size()).all(|at| block.add(at).read() == mark));
                arena.dealloc(block, layout);
            }
        }
    }

    #[test]
    fn the_last_block_grows_where_it_is_and_gives_its_room_back() {
        static ARENA: StartArena = StartArena::new();
        let arena = &ARENA;
        // SAFETY: each block is used with the layout that it has at that moment.
        unsafe {
            let first = arena.alloc(bytes(100));
            first.write_bytes(7, 100);
            assert_eq!(arena.realloc(first, bytes(100), 200), first);
            arena.dealloc(first, bytes(200));
            assert_eq!(arena.alloc(bytes(8)), first, "the room is used again");
        }
    }

    #[test]
    fn a_block_that_is_not_the_last_moves_with_its_bytes() {
        static ARENA: StartArena = StartArena::new();
        let arena = &ARENA;
        // SAFETY: as above.
        unsafe {
            let (first, second) = (arena.alloc(bytes(100)), arena.alloc(bytes(8)));
            first.write_bytes(7, 100);
            second.write_bytes(9, 8);
            assert_eq!(arena.realloc(first, bytes(100), 40), first, "it shrinks where it is");
            let moved = arena.realloc(first, bytes(40), 20_000);
            assert!(arena.offset(moved).is_none(), "a large block is the system's");
            assert!((0..40).all(|at| moved.add(at).read() == 7));
            assert_eq!(second.read(), 9);
            arena.dealloc(moved, bytes(20_000));
        }
    }

    #[test]
    fn threads_get_blocks_that_do_not_overlap() {
        static ARENA: StartArena = StartArena::new();
        let arena = &ARENA;
        let work = |mark: u8| {
            for _ in 0..5_000 {
                // SAFETY: as above.
                unsafe {
                    let block = arena.alloc(bytes(64));
                    block.write_bytes(mark, 64);
                    assert!((0..64).all(|at| block.add(at).read_volatile() == mark));
                    arena.dealloc(block, bytes(64));
                }
            }
        };
        thread::scope(|scope| {
            for mark in 1..5 {
                scope.spawn(move || work(mark));
            }
        });
    }
}
