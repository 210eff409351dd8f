//! What kind of failure a runtime's text tells of. Texts are all that a command line gives; what is not known stays an
//! ordinary failure.

use nucleus_abi::ErrorCode;

/// The class of a failed `create` or `exec`.
pub(crate) fn class(text: &str) -> ErrorCode {
    let text = text.to_lowercase();
    let has = |part: &str| text.contains(part);
    // crun: "executable file `x` not found in $PATH"; runc: `exec: "x": executable file not found in $PATH`, and
    // `exec: "/x": stat /x: no such file or directory`; runsc: `error finding executable "x"`.
    // runsc's `start`: "failed to load /x: no such file or directory".
    let of_program = has("exec: \"") || has("executable") || has("failed to load ");
    if has("executable") && (has("not found") || has("finding")) {
        return ErrorCode::CommandNotFound;
    }
    if of_program && has("no such file or directory") {
        return ErrorCode::CommandNotFound;
    }
    // crun says "open executable: Operation not permitted" of a directory.
    let refused = [
        "permission denied",
        "operation not permitted",
        "is a directory",
        "exec format error",
        "does not have correct permissions", // youki
    ];
    if of_program && refused.iter().any(|part| has(part)) {
        return ErrorCode::CommandNotExecutable;
    }
    ErrorCode::SystemCall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_told_from_one_that_cannot_be_executed() {
        for text in [
            "executable file `/no/such` not found in $PATH: No such file or directory",
            "runc create failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH",
            "runc create failed: unable to start container process: exec: \"/no\": stat /no: no such file or directory",
            "starting root container: starting sandbox: creating process: failed to load /no: no such file or directory",
            "executing processes for container: error finding executable \"nosuch\" in PATH [/bin]: no such file or directory",
        ] {
            assert_eq!(class(text), ErrorCode::CommandNotFound, "{text}");
        }
        for text in [
            "open executable: Operation not permitted",
            "open executable: Permission denied",
            "starting sandbox: creating process: failed to load /files/plain: exec format error",
            "runc create failed: unable to start container process: exec: \"/etc\": permission denied",
            "runc create failed: unable to start container process: exec: \"/etc\": is a directory",
            "error in executing process : executable '/usr' at path '\"/usr\"' does not have correct permissions",
        ] {
            assert_eq!(class(text), ErrorCode::CommandNotExecutable, "{text}");
        }
    }

    #[test]
    fn other_failures_are_no_programs() {
        for text in [
            "open `/x`: No such file or directory",
            "mount `/x`: Operation not permitted",
            "chdir to cwd (\"/x\"): no such file or directory",
        ] {
            assert_eq!(class(text), ErrorCode::SystemCall, "{text}");
        }
    }
}
