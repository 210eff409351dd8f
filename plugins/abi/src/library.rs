//! The host's side of the typed surface: from an open file to the two functions of a plugin.
//!
//! Whoever calls [`Library::load`] has looked at the file before: what is loaded runs with all our rights.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use abi_stable::library::{AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL};
use libloading::os::unix::{Library as Object, RTLD_LOCAL, RTLD_NOW};

use crate::surface::{PluginModuleRef, Surface};
use crate::{Error, ErrorCode, Result};

const STEP: &str = "load the plugin";

/// Whether the layout of a plugin's types needs to be compared with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// It is compared.
    Compare,
    /// The very same file has passed the comparison with this very program.
    Known,
}

/// A shared object that has become part of this process, for as long as it lives.
#[derive(Debug)]
pub struct Library {
    header: AbiHeaderRef,
}

impl Library {
    /// Loads the object behind a descriptor, which stays open for the life of the process.
    ///
    /// The loader knows objects by name, and the name is `/proc/self/fd/N`: were the descriptor closed and its number taken by
    /// another plugin, the loader would give us the first one again.
    ///
    /// # Errors
    /// `host-unfit`, with what dlopen(3) or dlsym(3) says.
    pub fn load(file: OwnedFd) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        std::mem::forget(file);
        // SAFETY: initialisers of the object run here. The caller has made sure that it is what the operator trusts, and whoever
        // trusts a plugin lets it run in this process; no check of ours could hold it back.
        let object =
            unsafe { Object::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| refused(&error))?;
        // SAFETY: the export macro gives this symbol this type; who writes it by hand stands in `AbiHeader` with a magic string
        // that `upgrade` compares before anything else.
        let header = unsafe { object.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }
            .map(|symbol| *symbol)
            .map_err(|error| {
                refused(&error)
                    .hint("export the plugin with `nucleus_abi::export_backend!` or `export_hook!`")
            })?;
        // Never unloaded: threads, thread-local destructors and handlers of the object could outlive it otherwise.
        std::mem::forget(object);
        Ok(Self { header })
    }

    /// An address inside the object's own mapping.
    pub fn address(&self) -> usize {
        std::ptr::from_ref(&*self.header).addr()
    }

    /// The plugin's two functions.
    ///
    /// # Errors
    /// `host-unfit` when its types are laid out differently.
    pub fn surface(&self, layout: Layout) -> Result<Surface> {
        let header = self.header.upgrade().map_err(|error| incompatible(&error))?;
        let module = match layout {
            Layout::Compare => header.init_root_module::<PluginModuleRef>(),
            Layout::Known => known(header),
        };
        module.map(Surface::from).map_err(|error| incompatible(&error))
    }
}

fn known(header: &'static LibHeader) -> std::result::Result<PluginModuleRef, LibraryError> {
    // SAFETY: the same file was compared by the same program before, as the caller says.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginModuleRef>() }
}

/// `Display` of libloading says "dlopen failed" and no more; the reason is its source.
fn refused(error: &libloading::Error) -> Error {
    let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Error::new(ErrorCode::HostUnfit, STEP).because(reason)
}

/// The whole comparison of two layouts has hundreds of lines; its first ones name the difference.
fn incompatible(error: &LibraryError) -> Error {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(6).collect();
    Error::new(ErrorCode::HostUnfit, STEP)
        .because(format!("its types are laid out differently: {}", lines.join(" ")))
        .hint("build the plugin again with the release of `nucleus-abi` and `abi_stable` that this nucleus is for")
}
