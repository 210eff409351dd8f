//! A value together with the line that decided it.

use crate::profile::Origin;

/// A resolved value and who decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided<T> {
    /// The value.
    pub value: T,
    /// The file and line, the flag, or the default that it comes from.
    pub origin: Origin,
}

impl<T> Decided<T> {
    /// A value with its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// Another value that follows from this one alone.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Decided<U> {
        Decided { value: change(self.value), origin: self.origin }
    }
}
