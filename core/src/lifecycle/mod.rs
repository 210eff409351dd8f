//! A container's life: its directory, its ledger, the road from plan to exit status, and the way back.

mod cgroup;
mod cgroup_path;
mod container;
mod events;
mod examine;
mod foreground;
mod found;
mod gc;
mod owners;
mod pause;
mod process;
mod processes;
mod record;
mod run;
mod state_root;
mod undo;
mod update;

pub use events::{Event, events, stats};
pub use examine::{Examined, Reading, examine};
pub use gc::{Collected, collect};
pub use pause::{pause, resume};
pub use processes::processes;
pub use record::{RECORD_SCHEMA, Record, Supervision};
pub use run::run;
pub use state_root::StateRoot;
pub use update::update;
