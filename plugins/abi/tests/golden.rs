//! The typed surface is frozen: whoever changes it by accident learns it here. The golden text may gain nothing and lose nothing.

use std::fmt::Write as _;

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr, RVec};
use nucleus_abi::{Answer, Outcome, PluginModule, PluginModuleRef, note};

const GOLDEN: &str = include_str!("surface-1.0.txt");

fn surface() -> String {
    let mut text = String::new();
    let mut layout = |name: &str, layout: &abi_stable::type_layout::TypeLayout| {
        let _ = writeln!(text, "{name}: {} bytes, aligned to {}", layout.size(), layout.alignment());
        for field in layout.get_fields().into_iter().flatten() {
            let _ = writeln!(text, "  {}: {}", field.name(), field.full_type());
        }
    };
    layout("Outcome", <Outcome as StableAbi>::LAYOUT);
    layout("Answer", <Answer as StableAbi>::LAYOUT);
    layout("PluginModuleRef", <PluginModuleRef as StableAbi>::LAYOUT);
    let _ = writeln!(text, "PluginModule: {} bytes", size_of::<PluginModule>());
    let _ = writeln!(
        text,
        "Outcome::Done = {}, Outcome::Failed = {}",
        Outcome::Done as u8,
        Outcome::Failed as u8
    );
    let owner = note::OWNER.escape_ascii();
    let _ = writeln!(
        text,
        "note: owner {owner}, type {}, {} bytes, surface {:?}",
        note::TYPE,
        note::LENGTH,
        note::SURFACE
    );
    let _ = writeln!(text, "symbol: {}", abi_stable::library::ROOT_MODULE_LOADER_NAME);
    text
}

#[test]
fn the_typed_surface_is_as_it_was_at_1_0() {
    assert_eq!(surface(), GOLDEN, "plugins that were built for 1.0 can no longer be loaded");
}

/// A field or a type that changes does not compile here.
#[test]
fn the_types_of_the_surface_are_as_they_were_at_1_0() {
    extern "C" fn describe() -> RVec<u8> {
        RVec::new()
    }
    extern "C" fn call<'a>(_: RStr<'a>, _: RSlice<'a, u8>, _: RSlice<'a, i32>) -> Answer {
        Answer { outcome: Outcome::Failed, document: RVec::new(), descriptors: RVec::new() }
    }
    let PluginModule { describe, call } = PluginModule { describe, call };
    let describe: extern "C" fn() -> RVec<u8> = describe;
    let call: for<'a> extern "C" fn(RStr<'a>, RSlice<'a, u8>, RSlice<'a, i32>) -> Answer = call;
    let answer = call(RStr::from_str("any"), RSlice::from_slice(&[]), RSlice::from_slice(&[]));
    let Answer { outcome, document, descriptors } = answer;
    let (document, descriptors): (RVec<u8>, RVec<i32>) = (document, descriptors);
    assert_eq!((outcome, document.len(), descriptors.len(), describe().len()), (Outcome::Failed, 0, 0, 0));
}
