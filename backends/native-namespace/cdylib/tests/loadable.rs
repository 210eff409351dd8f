//! The loadable form is loaded, passes the layout check, and answers through the same client as the linked one.

use std::path::PathBuf;

use abi_stable::library::lib_header_from_path;
use nucleus_abi::{Capability, Client, PluginModuleRef, ReportRequest, SCHEMA, Surface};

const FILE: &str = "libnucleus_native_namespace_plugin.so";

/// Cargo puts the library beside the test's own directory, or into it.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let places = own.ancestors().skip(1).take(2).map(|directory| directory.join(FILE));
    places.into_iter().find(|path| path.exists()).expect("the library is built with the test")
}

#[test]
fn it_describes_itself_and_reports() {
    let header = lib_header_from_path(&library()).unwrap();
    let module: PluginModuleRef = header.init_root_module().unwrap();
    let client = Client::new(Surface::from(module)).unwrap();
    assert_eq!(client.description().id, "native-namespace");
    assert_eq!(client.description().rank, 100);
    let request = ReportRequest {
        schema: SCHEMA,
        asked: vec![Capability::Umask],
        options: serde_json::Value::Null,
        memory: None,
    };
    assert_eq!(client.report(&request).unwrap().entries.len(), 1);
}
