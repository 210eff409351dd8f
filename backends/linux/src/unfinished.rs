//! A child that is killed and reaped unless all goes well.

use nucleus_sys::clone::Child;
use nucleus_sys::signal::Signal;

/// A child that is not yet what it shall become: dropped, it is killed and reaped.
pub(crate) struct Unfinished(Option<Child>);

impl Unfinished {
    pub(crate) fn new(child: Child) -> Self {
        Self(Some(child))
    }

    pub(crate) fn get(&self) -> &Child {
        self.0.as_ref().expect("it is there until it is finished")
    }

    /// All went well: it lives on.
    pub(crate) fn finish(mut self) -> Child {
        self.0.take().expect("it is there until it is finished")
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(child) = self.0.take() {
            let _ = child.pidfd.send_signal(Signal::KILL);
            let _ = child.pidfd.wait();
        }
    }
}
