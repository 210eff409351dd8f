//! The `native-namespace` backend under another name: a profile that names it reaches it only through its file.

#![expect(missing_docs, reason = "abi_stable generates a static that it does not document")]

nucleus_abi::export_backend!("again", nucleus_native_namespace::NativeNamespace);
