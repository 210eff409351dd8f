//! Containers through the whole protocol: sandbox, create, start, wait, delete.

mod cgroups;
mod harness;
mod isolation;
mod joining;
mod life;
