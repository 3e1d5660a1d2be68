//! Per-exchange state of middleware: typed, one slot each; dropping it is its release.

use std::any::Any;

/// The slots of one exchange.
#[derive(Default)]
pub struct Slots(Vec<Box<dyn Any>>);

impl Slots {
    /// Keeps `value` until the exchange ends; replaces an earlier one of the same type.
    pub fn put<T: 'static>(&mut self, value: T) {
        match self.find_mut::<T>() {
            Some(slot) => *slot = value,
            None => self.0.push(Box::new(value)),
        }
    }

    /// The value of type `T`, if one was put.
    pub fn find<T: 'static>(&self) -> Option<&T> {
        self.0.iter().find_map(|value| value.downcast_ref())
    }

    /// The value of type `T`, if one was put.
    pub fn find_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.0.iter_mut().find_map(|value| value.downcast_mut())
    }

    /// Releases everything, last first.
    pub fn clear(&mut self) {
        while self.0.pop().is_some() {}
    }
}
