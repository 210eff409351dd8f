//! The `nucleus` command line: what was typed, what it means, and what is printed.
#![deny(unsafe_code)]
#![cfg_attr(not(test), no_main)]

mod arguments;
mod flags;
mod interval;
mod log;
mod output;
mod privileges;
mod table;
mod verbs;

// The built-in backends: linked in, and reached only through the registry.
use nucleus_gvisor_runsc as _;
use nucleus_native_namespace as _;
use nucleus_oci_runtime as _;
// The hooks that come with it.
use nucleus_audit_log as _;
use nucleus_sd_notify as _;

use std::ffi::c_int;

use nucleus_sys::arena::StartArena;

/// Bytes that any start of a container uses: they come in one call in place of a page fault each.
const USED_BY_ANY_START: usize = 448 * 1024;

#[global_allocator]
static MEMORY: StartArena = StartArena::new();

// The C library finds it by its name (`nucleus_sys::program`); a test build has the test harness's own.
#[cfg_attr(not(test), expect(unsafe_code, reason = "a name of the C library's choice"))]
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> c_int {
    MEMORY.populate(USED_BY_ANY_START);
    nucleus_sys::program::enter(nucleus)
}

/// Does what the command line says, and gives the exit status.
fn nucleus() -> u8 {
    if let Err(error) = privileges::refuse_setuid() {
        return output::report(&error.into(), arguments::ErrorFormat::Text, verbs::Statuses::Workload);
    }
    let words: Vec<_> = std::env::args_os().collect();
    let matches = match arguments::parse(&words) {
        Ok(matches) => matches,
        Err(usage) => {
            let (format, statuses) = (arguments::error_format_of(&words), arguments::statuses_of(&words));
            return output::usage(&usage, format, statuses);
        }
    };
    let invocation = match arguments::Invocation::of(&matches) {
        Ok(invocation) => invocation,
        Err(error) => {
            let (format, statuses) = (arguments::error_format_of(&words), arguments::statuses_of(&words));
            return output::report(&error.into(), format, statuses);
        }
    };
    log::start(&invocation);
    match verbs::dispatch(&invocation, &matches) {
        Ok(status) => status,
        Err(failure) => {
            log::failure(&failure);
            output::report(&failure, invocation.error_format, invocation.statuses)
        }
    }
}
