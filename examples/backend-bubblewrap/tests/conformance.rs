//! Does it keep the contract? As root, with bubblewrap installed: `cargo test`.

fn main() -> std::process::ExitCode {
    nucleus_kit::main(|| nucleus_abi::Client::new(nucleus_backend_bubblewrap::PLUGIN))
}
