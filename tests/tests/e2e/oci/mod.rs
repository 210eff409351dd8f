//! The OCI reading: nucleus as engines call it.

mod checkpoint;
mod events;
mod exec;
mod life;
mod pause;
mod profile;
mod ps;
mod update;
