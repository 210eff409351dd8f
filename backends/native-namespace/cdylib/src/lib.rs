//! The `native-namespace` backend as a library that nucleus can load: the same code, behind the exported root module.

#![expect(missing_docs, reason = "abi_stable generates a static that it does not document")]

nucleus_abi::export_backend!("native-namespace", nucleus_native_namespace::NativeNamespace);
