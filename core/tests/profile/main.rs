//! Profiles from the outside, through the public interface alone.

mod loading;
mod mistakes;
mod rig;
mod values;
