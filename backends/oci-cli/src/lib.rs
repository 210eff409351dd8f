//! The engine of the backends that drive an OCI runtime by its command line: crun, runc, youki, runsc.
//!
//! What the core has opened and checked reaches the runtime as mounts that nobody else sees: one process in a mount namespace
//! of its own attaches them below the container's directory, waits at the gate, and becomes the runtime's `create`. The
//! runtime copies that namespace for the container, so the staging ends with the process, also after a crash.
//!
//! ```text
//! sandbox: config.json rewritten → clones of root and sources → clone3(CLONE_NEWNS) ─┬→ parent: ledger, record
//!                                                                                   └→ child: attach … waits for "go"
//! create:  "go" → child: ledger (undo = `delete --force`) → exec RUNTIME create → pid file → record
//! start:   RUNTIME start       wait: by pidfd      others: RUNTIME state, kill, exec, pause, resume, update, ps, delete
//! ```
//! Every call has its time limit, its log and its own process group; it dies with its nucleus. The engine keeps no state in
//! memory between verbs: see `record`.

#![forbid(unsafe_code)]

mod bundle;
mod call;
mod config;
mod console;
mod create;
mod delete;
mod ended;
mod exec;
mod gate;
mod guard;
mod log;
mod loopback;
mod mapped;
mod monitor;
mod operations;
pub mod options;
mod place;
mod reason;
mod record;
mod runtime;
mod sandbox;
mod signal;
mod stager;
mod staging;
mod start;
mod state;
mod tmpfs;
mod trial;
pub mod trust;
mod wait;

pub use call::answer;
pub use create::create;
pub use delete::{delete, undo};
pub use exec::exec;
pub use operations::{pause, processes, resume, stats, update, watch_oom};
pub use runtime::{ExitSource, Fault, HostAccess, RootMount, Runtime, Seal, TmpfsMode};
pub use sandbox::sandbox;
pub use signal::signal;
pub use start::start;
pub use state::state;
pub use trial::trial;
pub use wait::wait;
