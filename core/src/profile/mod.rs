//! Profiles: YAML becomes a positioned tree, trees are laid one over the other, and the result is typed.
//!
//! ```text
//! built-in default < parent < profile < named workload < flags
//! ```
//!
//! Each layer is a tree whose values know their place; merging keeps it, so that every value of the effective
//! [`Profile`] can say who decided it ([`Origins`]), and every mistake is shown where it was written
//! ([`Diagnostics`]). The way of a good profile is short: parse, merge, deserialise. Only a wrong one is walked
//! along its JSON Schema to collect all mistakes at once.

mod builtin;
mod chain;
mod de;
mod diagnostic;
mod flags;
mod form;
mod formats;
mod layered;
mod load;
mod merge;
mod model;
mod origin;
mod origins;
mod parse;
mod patch;
mod read;
mod rules;
mod scalar;
mod schema;
mod search;
mod shape;
mod suggest;
mod syntax;
mod system;
mod tree;
pub mod values;

pub use diagnostic::{Color, Diagnostic, Diagnostics};
pub use flags::{FlagValue, Placement};
pub use load::{LoadError, Loaded, Request, check, load};
pub use model::*;
pub use origin::Origin;
pub use origins::Origins;
pub use patch::field_of;
pub use schema::schema;
pub use search::SearchPath;
pub use system::{ANNOTATION, AnnotationChoice, Engines, SYSTEM_CONFIG, SystemConfig};
