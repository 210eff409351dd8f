//! The `nucleus` command line: what was typed, what it means, and what is printed.
#![forbid(unsafe_code)]

mod arguments;
mod flags;
mod interval;
mod output;
mod privileges;
mod table;
mod verbs;

// The built-in backends: linked in, and reached only through the registry.
use nucleus_native_namespace as _;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = privileges::refuse_setuid() {
        return output::report(&error.into(), arguments::ErrorFormat::Text);
    }
    let words: Vec<_> = std::env::args_os().collect();
    let matches = match arguments::parse(&words) {
        Ok(matches) => matches,
        Err(usage) => return output::usage(&usage, arguments::error_format_of(&words)),
    };
    let invocation = arguments::Invocation::of(&matches);
    output::start_log(&invocation);
    match verbs::dispatch(&invocation, &matches) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => output::report(&failure, invocation.error_format),
    }
}
