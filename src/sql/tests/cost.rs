//! A fingerprint allocates nothing. Times are for `cargo bench --bench micro -- sql`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use super::*;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting by thread, so that tests may run side by side.
struct Counting;

// SAFETY: every call is passed on unchanged; the counter is a plain integer without a destructor,
// so it neither allocates nor ends before its thread does.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

#[test]
fn no_fingerprint_allocates() {
    let mut dice = shapes::Dice::new(3);
    let mut texts: Vec<Vec<u8>> = (0..2000)
        .map(|_| shapes::statement(&mut dice).into_bytes())
        .collect();
    let mut dice = Dice(4);
    texts.extend((0..5000).map(|_| garbage(&mut dice)));
    texts.push(format!("insert into t values ('{}'); select 1", "x".repeat(300_000)).into_bytes());
    let before = allocations();
    let mut all = 0;
    for text in &texts {
        each_statement(text, default(), |statement| all ^= statement.fingerprint);
        all ^= single(text, strict(16)).fingerprint;
    }
    assert_eq!(allocations() - before, 0, "{all}");
    normalise(&texts[0], default());
    assert!(allocations() > before, "the counter counts");
}
