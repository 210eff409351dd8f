//! Which plugins there are, and the one road to them.

mod registry;

pub use registry::Registry;
