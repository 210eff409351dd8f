//! Containers through the whole protocol: sandbox, create, start, wait, delete.

mod harness;
mod isolation;
mod joining;
mod life;
