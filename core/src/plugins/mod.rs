//! Which plugins there are, and the one road to them.
//!
//! Those that are linked in cost nothing. A name that none of them has is looked up ([`search`]); the file is opened once and
//! examined before anything of it runs ([`file`], [`elf`]); it must be what the operator pinned ([`trust`]); only then is it loaded
//! ([`load`]), and watched at each call ([`loaded`]).

pub mod elf;
mod file;
mod keep;
mod layouts;
mod load;
mod loaded;
mod lookup;
mod pin;
pub mod process;
mod registry;
mod search;
mod trust;

pub use file::Candidate;
pub use keep::Kept;
pub(crate) use keep::{keep, open_kept};
pub use load::load;
pub use lookup::Lookup;
pub use pin::pin;
pub use registry::Registry;
pub use search::{ENVIRONMENT, Found, SearchPath, file_name, program_name, program_of};
pub use trust::{Pin, Signer, Trusted};
