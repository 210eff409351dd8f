//! Holding something secret for a moment: memory that is neither dumped nor swapped nor inherited, and is wiped; a process
//! that leaves no core; variables that are read in place and erased.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, MlockFlags, ProtFlags};
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use zeroize::Zeroize;

/// While it lives, the process writes no core dump, and nobody less privileged looks into it (`PR_SET_DUMPABLE`).
#[derive(Debug)]
pub struct Undumpable(DumpableBehavior);

impl Undumpable {
    /// Begins.
    pub fn begin() -> io::Result<Self> {
        let before = dumpable_behavior()?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        Ok(Self(before))
    }
}

impl Drop for Undumpable {
    fn drop(&mut self) {
        // EINVAL for the one mode that only the kernel may set (`fs.suid_dumpable`): then it stays undumpable.
        let _ = set_dumpable_behavior(self.0);
    }
}

/// Bytes outside of the heap that are wiped when they go. A core dump leaves them out, a child gets zeros in their place
/// (`MADV_DONTDUMP`, `MADV_WIPEONFORK`), and they are not swapped where the limit of locked memory allows it.
#[derive(Debug)]
pub struct SecretBuffer {
    start: NonNull<u8>,
    length: usize,
}

impl SecretBuffer {
    /// `length` zeros.
    pub fn new(length: usize) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches nobody's memory.
        let start = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), length, protection, MapFlags::PRIVATE)?
        };
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let buffer = Self { start, length };
        for advice in [Advice::LinuxDontDump, Advice::LinuxWipeOnFork] {
            // SAFETY: the mapping is ours and has this length.
            unsafe { rustix::mm::madvise(start.as_ptr().cast(), length, advice)? };
        }
        // Beyond RLIMIT_MEMLOCK it is ENOMEM: it may be swapped then, in the moment for which it holds anything.
        // SAFETY: as above; locking changes no content.
        let _ = unsafe { rustix::mm::mlock_with(start.as_ptr().cast(), length, MlockFlags::empty()) };
        Ok(buffer)
    }
}

impl Deref for SecretBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as `self`, and a `&self` excludes writers.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for SecretBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping lives as long as `self`, and a `&mut self` is alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for SecretBuffer {
    fn drop(&mut self) {
        self.zeroize();
        // SAFETY: the mapping is ours, and nothing borrows it any more.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

unsafe extern "C" {
    /// environ(7)
    static environ: *const *mut c_char;
}

/// A variable of our own environment, in the place where the kernel put it.
#[derive(Debug)]
pub struct Variable {
    name: CString,
    value: NonNull<c_char>,
}

impl Variable {
    /// Finds a variable; `None` where it is not set.
    ///
    /// # Errors
    /// `ErrorKind::ResourceBusy` if other threads run: they could change it meanwhile.
    pub fn find(name: &CStr) -> io::Result<Option<Self>> {
        crate::clone::assert_single_threaded()?;
        // SAFETY: there is no other thread that could change the environment; getenv returns a pointer into it or null.
        let value = unsafe { libc::getenv(name.as_ptr()) };
        Ok(NonNull::new(value).map(|value| Self { name: name.to_owned(), value }))
    }

    /// Its value, without a copy. `None` if the variable was changed or removed since it was found.
    pub fn value(&self) -> Option<&[u8]> {
        // SAFETY: as in `find`; the pointer is compared before it is read, and the borrow keeps `erase` away.
        (unsafe { libc::getenv(self.name.as_ptr()) } == self.value.as_ptr())
            .then(|| unsafe { CStr::from_ptr(self.value.as_ptr()) }.to_bytes())
    }

    /// Overwrites every value of this name, also in `/proc/self/environ`, and removes the variable.
    pub fn erase(self) -> io::Result<()> {
        crate::clone::assert_single_threaded()?;
        let prefix = [self.name.to_bytes(), b"="].concat();
        // SAFETY: without another thread the list is stable; it ends with a null pointer, its strings with a NUL, and they
        // are the process' own, writable memory (the initial stack, or setenv's heap).
        unsafe {
            let mut entry = environ;
            while !entry.is_null() && !(*entry).is_null() {
                let text = *entry;
                if CStr::from_ptr(text).to_bytes().starts_with(&prefix) {
                    let value = text.add(prefix.len());
                    std::slice::from_raw_parts_mut(value.cast::<u8>(), libc::strlen(value)).zeroize();
                }
                entry = entry.add(1);
            }
            libc::unsetenv(self.name.as_ptr());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;
    use rustix::process::{WaitOptions, waitpid};

    fn smaps_of(address: usize) -> String {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let start = format!("{address:x}-");
        let rest = &text[text.find(&start).expect("the mapping is listed")..];
        rest.lines().find(|line| line.starts_with("VmFlags:")).unwrap().to_owned()
    }

    #[test]
    fn a_buffer_is_neither_dumped_nor_inherited_nor_swapped() {
        let mut buffer = SecretBuffer::new(8192).unwrap();
        buffer[..6].copy_from_slice(b"canary");
        let flags = smaps_of(buffer.as_ptr() as usize);
        for flag in [" dd", " wf", " lo"] {
            assert!(flags.contains(flag), "{flag} in {flags}");
        }
        in_child(|| assert!(buffer.iter().all(|byte| *byte == 0), "the child sees it"));
        assert_eq!(&buffer[..6], b"canary");
    }

    #[test]
    fn an_undumpable_process_is_dumpable_again_afterwards() {
        in_child(|| {
            let dumpable = || rustix::process::dumpable_behavior().unwrap();
            let before = dumpable();
            let silent = Undumpable::begin().unwrap();
            assert_eq!(dumpable(), DumpableBehavior::NotDumpable);
            drop(silent);
            assert_eq!(dumpable(), before);
        });
    }

    /// Runs in a program of its own, where the variable is in the memory that the kernel gave it.
    #[test]
    fn an_erased_variable_is_gone_from_the_process() {
        const NAME: &str = "NUCLEUS_TEST_SECRET";
        let seen = || {
            let block = std::fs::read("/proc/self/environ").unwrap();
            block.windows(17).any(|bytes| bytes == b"canary-in-environ")
        };
        if std::env::var_os(NAME).is_some() {
            return in_child(|| {
                let variable = Variable::find(c"NUCLEUS_TEST_SECRET").unwrap().unwrap();
                assert_eq!(variable.value().unwrap(), b"canary-in-environ");
                assert!(seen());
                variable.erase().unwrap();
                assert!(!seen() && std::env::var_os(NAME).is_none());
                assert!(Variable::find(c"NUCLEUS_TEST_SECRET").unwrap().is_none());
            });
        }
        let test = "secrecy::tests::an_erased_variable_is_gone_from_the_process";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env(NAME, "canary-in-environ")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn a_child_leaves_no_core_while_it_is_undumpable() {
        // SAFETY: the child only raises a signal.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let _silent = Undumpable::begin();
            // SAFETY: ends this process.
            unsafe { libc::abort() }
        }
        let status = waitpid(rustix::process::Pid::from_raw(pid), WaitOptions::empty()).unwrap().unwrap().1;
        assert_eq!(status.terminating_signal(), Some(libc::SIGABRT));
        // WCOREDUMP of wait(2).
        assert_eq!(status.as_raw() & 0x80, 0, "it dumped core");
    }
}
