//! The OCI reading: nucleus as engines call it.

mod life;
mod profile;
