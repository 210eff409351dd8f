//! The `nucleus` command line: what was typed, what it means, and what is printed.
#![forbid(unsafe_code)]

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

use std::process::ExitCode;

fn main() -> ExitCode {
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
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            log::failure(&failure);
            output::report(&failure, invocation.error_format, invocation.statuses)
        }
    }
}
