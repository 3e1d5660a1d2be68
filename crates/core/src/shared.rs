//! What components of one process have in common, whichever configuration they were built from:
//! one value of each type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by type. Asked while components are built, not on the request path.
#[derive(Debug, Default)]
pub struct Shared(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Shared {
    /// The process's `T`; made when it is first asked for.
    pub fn value<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Arc::<T>::default());
        // INVARIANT: what is kept under a type is of that type.
        Arc::clone(value).downcast().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

    #[test]
    fn each_type_has_one_value() {
        let shared = Shared::default();
        shared.value::<AtomicU8>().store(5, Ordering::Relaxed);
        assert_eq!(shared.value::<AtomicU8>().load(Ordering::Relaxed), 5);
        assert_eq!(shared.value::<AtomicU16>().load(Ordering::Relaxed), 0);
    }
}
