//! Does it keep the contract? `cargo test`.

fn main() -> std::process::ExitCode {
    nucleus_kit::main(|| nucleus_abi::Client::new(nucleus_hook_require_limits::PLUGIN))
}
