//! Worker-local state of shared components: a handler is one value for all workers, what it keeps
//! per worker (a cache, a cursor) rests here, so that no request takes a lock.

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The place of a component's `T` on each worker. Made once, when the component is built, from
/// [`BuildContext::local`](crate::BuildContext::local).
pub struct LocalKey<T> {
    index: usize,
    is_scratch: bool,
    kind: PhantomData<fn() -> T>,
}

/// Hands out places; one for each snapshot.
#[derive(Debug, Default)]
pub struct LocalKeys(AtomicUsize);

impl LocalKeys {
    /// The next free place.
    pub fn next<T>(&self) -> LocalKey<T> {
        self.key(false)
    }

    /// The same for a value that may be forgotten whenever its worker has been quiet: memory kept
    /// for reuse.
    pub fn scratch<T>(&self) -> LocalKey<T> {
        self.key(true)
    }

    fn key<T>(&self, is_scratch: bool) -> LocalKey<T> {
        let index = self.0.fetch_add(1, Ordering::Relaxed);
        LocalKey { index, is_scratch, kind: PhantomData }
    }
}

/// One worker's values, by place.
#[derive(Default)]
pub struct Local(RefCell<Vec<Option<Held>>>);

struct Held {
    value: Rc<dyn Any>,
    is_scratch: bool,
}

impl Local {
    /// The value at `key`; made by `make` when this worker first asks.
    pub fn value<T: 'static>(&self, key: &LocalKey<T>, make: impl FnOnce() -> T) -> Rc<T> {
        if let Some(Some(held)) = self.0.borrow().get(key.index)
            && let Ok(value) = Rc::clone(&held.value).downcast::<T>()
        {
            return value;
        }
        let value = Rc::new(make());
        let mut values = self.0.borrow_mut();
        if values.len() <= key.index {
            values.resize_with(key.index + 1, || None);
        }
        let held = Rc::clone(&value) as Rc<dyn Any>;
        values[key.index] = Some(Held { value: held, is_scratch: key.is_scratch });
        value
    }

    /// Forgets what is kept for reuse.
    pub(crate) fn trim(&self) {
        for place in self.0.borrow_mut().iter_mut() {
            place.take_if(|held| held.is_scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn each_worker_has_its_own_value() {
        let keys = LocalKeys::default();
        let (first, second) = (keys.next::<Cell<u32>>(), keys.next::<Cell<u32>>());
        let (here, there) = (Local::default(), Local::default());
        here.value(&second, || Cell::new(1)).set(5);
        assert_eq!(here.value(&second, || Cell::new(1)).get(), 5);
        assert_eq!(here.value(&first, || Cell::new(2)).get(), 2);
        assert_eq!(there.value(&second, || Cell::new(1)).get(), 1);
    }

    #[test]
    fn scratch_is_forgotten_and_nothing_else() {
        let keys = LocalKeys::default();
        let (kept, scratch) = (keys.next::<u32>(), keys.scratch::<u32>());
        let local = Local::default();
        local.value(&kept, || 1);
        let held = local.value(&scratch, || 1);
        local.trim();
        assert_eq!((*local.value(&kept, || 2), *local.value(&scratch, || 2)), (1, 2));
        assert_eq!(*held, 1, "whoever holds it keeps it");
    }
}
