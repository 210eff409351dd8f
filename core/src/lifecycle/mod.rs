//! A container's life: its directory, its ledger, the road from plan to exit status, and the way back.

mod cgroup;
mod cgroup_path;
mod container;
mod examine;
mod foreground;
mod gc;
mod owners;
mod process;
mod record;
mod run;
mod state_root;
mod undo;

pub use examine::{Examined, examine};
pub use gc::{Collected, collect};
pub use record::{RECORD_SCHEMA, Record, Supervision};
pub use run::run;
pub use state_root::StateRoot;
