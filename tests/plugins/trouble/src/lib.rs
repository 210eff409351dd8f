//! A backend that makes trouble: the variable `TROUBLE` says what and when, `WHAT@VERB`; at all other verbs it is the
//! `native-namespace` backend. `@load` means while it is loaded.

#![expect(missing_docs, reason = "abi_stable generates a static that it does not document")]

use nucleus_abi::abi_stable::prefix_type::PrefixTypeTrait as _;
use nucleus_abi::abi_stable::std_types::{RSlice, RStr, RVec};
use nucleus_abi::note::Section;
use nucleus_abi::{Answer, Description, Kind, Outcome, PluginModule, PluginModuleRef, SCHEMA};
use nucleus_native_namespace::NativeNamespace;

mod panicking;

use panicking::Panicking;

/// What `TROUBLE` says, if it is about this verb.
fn wanted(verb: &str) -> Option<String> {
    let text = std::env::var("TROUBLE").ok()?;
    let (what, when) = text.split_once('@')?;
    (when == verb).then(|| what.to_owned())
}

fn make(what: &str) -> Option<Answer> {
    match what {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(0),
        // SAFETY: it is not: address 8 belongs to nobody.
        "segfault" => unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) },
        "loop" => loop {
            std::hint::spin_loop();
        },
        "thread" => {
            let (started, wait) = std::sync::mpsc::channel();
            let forever = move || {
                let _ = started.send(());
                loop {
                    std::thread::park();
                }
            };
            std::thread::Builder::new().name("busybody".into()).spawn(forever).expect("a thread");
            // It has its name by then. While the library is loaded, it cannot come so far: the loader holds its lock.
            let _ = wait.recv_timeout(std::time::Duration::from_secs(1));
        }
        "mask" => {
            // SAFETY: blocks SIGSEGV in this thread.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&raw mut set);
                libc::sigaddset(&raw mut set, libc::SIGSEGV);
                libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            }
        }
        "directory" => std::env::set_current_dir("/proc").expect("enter /proc"),
        "gigabyte" => return Some(answer(vec![b' '; 1 << 30])),
        "no-utf8" => return Some(answer(b"{\"status\":\"\xff\xfe\"}".to_vec())),
        "no-json" => return Some(answer(b"Segmentation fault".to_vec())),
        "wrong-json" => return Some(answer(b"[{\"pid\":\"seven\"}]".to_vec())),
        // Says that it has done it, and has not.
        "nothing" => return Some(answer(b"{}".to_vec())),
        "stolen" => {
            return Some(Answer {
                outcome: Outcome::Done,
                document: RVec::new(),
                descriptors: vec![0, 0].into(),
            });
        }
        _ => {}
    }
    None
}

fn answer(document: Vec<u8>) -> Answer {
    Answer { outcome: Outcome::Done, document: document.into(), descriptors: RVec::new() }
}

/// The request without the limits that it asks for, which the report promises.
fn forgetting(document: &[u8]) -> Vec<u8> {
    let mut request: serde_json::Value = serde_json::from_slice(document).unwrap_or_default();
    if let Some(process) = request["config"]["process"].as_object_mut() {
        process.remove("rlimits");
    }
    request.to_string().into_bytes()
}

extern "C" fn describe() -> RVec<u8> {
    let impostor = wanted("describe").is_some();
    let description = Description {
        id: if impostor { "native-namespace" } else { "trouble" }.into(),
        kind: Kind::Backend,
        version: "1".into(),
        schemas: (SCHEMA, SCHEMA),
        rank: -1,
    };
    serde_json::to_vec(&description).unwrap_or_default().into()
}

extern "C" fn call<'a>(verb: RStr<'a>, document: RSlice<'a, u8>, descriptors: RSlice<'a, i32>) -> Answer {
    let what = wanted(verb.as_str());
    if what.as_deref() == Some("panic") {
        return nucleus_abi::dispatch::call_backend(&Panicking, verb, document, descriptors);
    }
    if let Some(answer) = what.as_deref().and_then(make) {
        return answer;
    }
    let forgetful = (what.as_deref() == Some("forget")).then(|| forgetting(document.as_slice()));
    let document = forgetful.as_deref().map_or(document, RSlice::from_slice);
    let answer = nucleus_abi::dispatch::call_backend(&NativeNamespace, verb, document, descriptors);
    if what.as_deref() == Some("close") {
        for number in descriptors.as_slice() {
            // SAFETY: it is not: they were only lent.
            unsafe { libc::close(*number) };
        }
    }
    answer
}

#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        if let Some(what) = wanted("load") {
            make(&what);
        }
    }
    at_load
};

#[used]
#[unsafe(link_section = ".note.nucleus")]
static NOTE: Section = Section::new(Kind::Backend, "trouble");

/// By hand, for the macro would catch what shall not be caught.
#[abi_stable::export_root_module]
pub fn module() -> PluginModuleRef {
    PluginModule { describe, call }.leak_into_prefix()
}
