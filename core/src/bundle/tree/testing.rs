//! Trees for tests.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A directory that goes with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nucleus-tree-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tree that is to be made.
#[derive(Debug, Clone)]
pub(crate) enum Seed {
    File { content: Vec<u8>, hole: u64, mode: u32 },
    Link(Vec<u8>),
    Directory { mode: u32, entries: BTreeMap<Vec<u8>, Seed> },
}

impl Seed {
    pub(crate) fn plant(&self, path: &Path) {
        match self {
            Self::File { content, hole, mode } => {
                let file = fs::File::create(path).unwrap();
                // A hole, then what it holds.
                file.set_len(hole + content.len() as u64).unwrap();
                std::os::unix::fs::FileExt::write_all_at(&file, content, *hole).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Self::Link(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
            Self::Directory { mode, entries } => {
                fs::create_dir(path).unwrap();
                for (name, seed) in entries {
                    seed.plant(&path.join(OsStr::from_bytes(name)));
                }
                fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }
}

/// Names of any bytes, a few as long as the kernel takes them.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = || any::<u8>().prop_filter("a name", |byte| !matches!(byte, 0 | b'/'));
    let plain = |name: &Vec<u8>| !matches!(name.as_slice(), b"." | b"..");
    prop_oneof![9 => vec(byte(), 1..6), 1 => vec(byte(), 255)].prop_filter("a name", plain)
}

/// Directories of files, links and directories. Links lead to names beside them.
pub(crate) fn trees() -> impl Strategy<Value = Seed> {
    let content = prop_oneof![Just(Vec::new()), vec(any::<u8>(), 1..200), vec(any::<u8>(), 70_000..70_001)];
    let hole = prop_oneof![3 => Just(0_u64), 1 => 4096_u64..1_000_000];
    let file = (content, hole, 0_u32..0o1000).prop_map(|(content, hole, mode)| Seed::File {
        content,
        hole,
        mode: mode | 0o400,
    });
    let leaf = prop_oneof![4 => file, 1 => name().prop_map(Seed::Link)];
    directory(leaf.prop_recursive(4, 40, 6, directory).boxed())
}

fn directory(entry: BoxedStrategy<Seed>) -> impl Strategy<Value = Seed> {
    (0_u32..0o2000, btree_map(name(), entry, 0..6))
        .prop_map(|(mode, entries)| Seed::Directory { mode: mode | 0o700, entries })
}
