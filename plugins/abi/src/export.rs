//! The two macros of a plugin: linked into the program, or exported from a library of its own.

/// Links a backend into the program that this crate becomes part of. Its argument is an expression for a `static`
/// or a unit struct that implements [`Backend`](crate::Backend).
///
/// The program must mention the crate (`use nucleus_my_backend as _;`), or the linker drops it.
#[macro_export]
macro_rules! link_backend {
    ($backend:expr) => {
        $crate::__surface!(
            $crate::Backend,
            call_backend,
            $backend,
            <_ as $crate::Backend>::description(&$backend)
        );
        $crate::inventory::submit! { $crate::LinkedPlugin { surface: SURFACE } }
    };
}

/// Links a hook plugin into the program, as [`link_backend`] does for a backend.
#[macro_export]
macro_rules! link_hook {
    ($hook:expr) => {
        $crate::__surface!($crate::Hook, call_hook, $hook, <_ as $crate::Hook>::description(&$hook));
        $crate::inventory::submit! { $crate::LinkedPlugin { surface: SURFACE } }
    };
}

/// Exports a backend from a `cdylib`, under the id that profiles choose it by: `export_backend!("acme", Acme)`.
///
/// The id stands in the file's note ([`note`](crate::note)) and in the description that the host is given, whatever
/// [`Backend::description`](crate::Backend::description) calls it. The crate needs `abi_stable` among its own dependencies, and
/// only one plugin can be exported from one library: the symbol's name is fixed.
#[macro_export]
macro_rules! export_backend {
    ($id:literal, $backend:expr) => {
        $crate::__export!($id, $crate::Kind::Backend, $crate::Backend, call_backend, $backend);
    };
}

/// Exports a hook plugin from a `cdylib`, as [`export_backend`] does for a backend.
#[macro_export]
macro_rules! export_hook {
    ($id:literal, $hook:expr) => {
        $crate::__export!($id, $crate::Kind::Hook, $crate::Hook, call_hook, $hook);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __surface {
    ($trait:path, $call:ident, $plugin:expr, $description:expr) => {
        extern "C" fn nucleus_describe() -> $crate::abi_stable::std_types::RVec<u8> {
            $crate::dispatch::describe(|| $description)
        }

        extern "C" fn nucleus_call<'a>(
            verb: $crate::abi_stable::std_types::RStr<'a>,
            document: $crate::abi_stable::std_types::RSlice<'a, u8>,
            descriptors: $crate::abi_stable::std_types::RSlice<'a, i32>,
        ) -> $crate::Answer {
            $crate::dispatch::$call(&$plugin, verb, document, descriptors)
        }

        const SURFACE: $crate::Surface = $crate::Surface { describe: nucleus_describe, call: nucleus_call };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($id:literal, $kind:expr, $trait:path, $call:ident, $plugin:expr) => {
        $crate::__surface!(
            $trait,
            $call,
            $plugin,
            $crate::Description { id: $id.to_owned(), kind: $kind, ..<_ as $trait>::description(&$plugin) }
        );

        /// The plugin's two functions, for its own tests: `Client::new(PLUGIN)`.
        pub const PLUGIN: $crate::Surface = SURFACE;

        #[used]
        #[unsafe(link_section = ".note.nucleus")]
        static NUCLEUS_NOTE: $crate::note::Section = $crate::note::Section::new($kind, $id);

        /// The module that the host looks up.
        #[::abi_stable::export_root_module]
        pub fn nucleus_plugin_module() -> $crate::PluginModuleRef {
            use ::abi_stable::prefix_type::PrefixTypeTrait as _;
            $crate::PluginModule { describe: SURFACE.describe, call: SURFACE.call }.leak_into_prefix()
        }
    };
}
