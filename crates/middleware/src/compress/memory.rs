//! The memory of brotli contexts, kept from one body to the next.
//!
//! The encoder has no reset: a context is made anew for each body, and its tables, a megabyte and
//! more, would be allocated and zeroed each time. They come back to a shelf instead, one for all
//! contexts of a pool, and are lent again to whoever wants one of the same type and length.
//!
//! INVARIANT: each context knows the bytes that it has been lent, and a shelf has its own limit, so
//! that many contexts hold what they are counted for and no more.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use brotli::enc::BrotliAlloc;
use brotli::enc::command::Command;
use brotli::{Allocator, SliceWrapper, SliceWrapperMut};

/// What one context allocates from.
#[derive(Clone, Default)]
pub(super) struct Memory {
    shelf: Shelf,
    lent_bytes: Rc<Cell<usize>>,
}

/// Tables at rest, oldest first.
#[derive(Clone, Default)]
pub(super) struct Shelf(Rc<RefCell<Vec<Kept>>>);

struct Kept {
    bytes: usize,
    table: Box<dyn Any>,
}

/// Bytes of tables kept: those of a page of 200 KB at level 5.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Smaller ones cost less to allocate than to look for.
const KEPT_BYTES_MIN: usize = 8 << 10;

/// A table that is lent.
pub(super) struct Table<T>(Vec<T>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> SliceWrapper<T> for Table<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Table<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl Memory {
    /// That of a context which takes its tables from `shelf`.
    pub(super) fn of(shelf: &Shelf) -> Self {
        Self { shelf: shelf.clone(), lent_bytes: Rc::default() }
    }

    /// Bytes that its context has and did not give back.
    pub(super) fn lent_bytes(&self) -> usize {
        self.lent_bytes.get()
    }
}

impl Shelf {
    fn take<T: 'static>(&self, len: usize) -> Option<Vec<T>> {
        let mut kept = self.0.borrow_mut();
        let fits = |kept: &Kept| {
            kept.table.downcast_ref::<Vec<T>>().is_some_and(|table| table.len() == len)
        };
        let index = kept.iter().rposition(fits)?;
        let table = kept.remove(index).table;
        table.downcast().ok().map(|table| *table)
    }

    fn keep<T: 'static>(&self, table: Vec<T>) {
        let mut kept = self.0.borrow_mut();
        let bytes = table.len() * size_of::<T>();
        let mut total = bytes + kept.iter().map(|kept| kept.bytes).sum::<usize>();
        while total > KEPT_BYTES_MAX && !kept.is_empty() {
            total -= kept.remove(0).bytes;
        }
        if total <= KEPT_BYTES_MAX {
            kept.push(Kept { bytes, table: Box::new(table) });
        }
    }
}

impl<T: Clone + Default + 'static> Allocator<T> for Memory {
    type AllocatedMemory = Table<T>;

    fn alloc_cell(&mut self, len: usize) -> Table<T> {
        let bytes = len * size_of::<T>();
        self.lent_bytes.set(self.lent_bytes.get() + bytes);
        let kept = if bytes < KEPT_BYTES_MIN { None } else { self.shelf.take(len) };
        let Some(mut table) = kept else { return Table(vec![T::default(); len]) };
        // PERF: not zeroed are the buckets of its hash tables, the only large tables of `u32`, and
        // its commands, a megabyte and more each. The encoder zeroes the former itself or counts
        // what it put into each, and counts the latter; a wrong entry could only ever be a match
        // that it looks at and does not find.
        let any: &dyn Any = &table;
        if !any.is::<Vec<u32>>() && !any.is::<Vec<Command>>() {
            table.fill(T::default());
        }
        Table(table)
    }

    fn free_cell(&mut self, table: Table<T>) {
        let bytes = table.0.len() * size_of::<T>();
        self.lent_bytes.set(self.lent_bytes.get().saturating_sub(bytes));
        if bytes >= KEPT_BYTES_MIN {
            self.shelf.keep(table.0);
        }
    }
}

impl BrotliAlloc for Memory {}
