//! The OCI reading: nucleus as engines call it.

mod checkpoint;
mod command_line;
mod events;
mod exec;
mod handles;
mod hooks;
mod life;
mod pause;
mod profile;
mod ps;
mod races;
mod update;
