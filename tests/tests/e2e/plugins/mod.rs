//! Plugins that are loaded from files: the right one works, every other is refused by name, and what a bad one does costs one
//! clear error.

mod first_interface;
mod kit;
mod life;
mod refusals;
mod trouble;
mod trusting;
