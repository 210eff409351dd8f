//! Whether the links of a tree stay inside. Pure: it follows them in a list of what the tree holds.

use std::collections::BTreeMap;

use super::survey::Arrived;
use crate::bundle::tree::TreePath;

/// As many links as the kernel follows in one path, `path_resolution(7)`.
const MOST: usize = 40;

/// The links by which somebody who follows them could leave the tree. One that leads to nothing leads nowhere.
pub(super) fn leading_out(tree: &BTreeMap<TreePath, Arrived>) -> Vec<&TreePath> {
    let links = tree.iter().filter(|(path, arrived)| match arrived {
        Arrived::Link(target) => leads_out(tree, path, target),
        Arrived::Directory | Arrived::File => false,
    });
    links.map(|(path, _)| path).collect()
}

fn leads_out(tree: &BTreeMap<TreePath, Arrived>, link: &TreePath, target: &[u8]) -> bool {
    let mut here: Vec<&[u8]> = link.names().collect();
    here.pop();
    let Some(mut to_go) = names(target) else { return true };
    for _ in 0..MOST {
        match walk(tree, &mut here, &mut to_go) {
            Walked::Out => return true,
            Walked::There => return false,
            Walked::Link(next) => match names(next) {
                Some(names) => to_go.extend(names),
                None => return true,
            },
        }
    }
    // The kernel gives up too.
    false
}

/// Where some names lead.
enum Walked<'a> {
    /// Out of the tree.
    Out,
    /// To something in it, or to nothing.
    There,
    /// To a link, beside which its target begins.
    Link(&'a [u8]),
}

fn walk<'a>(
    tree: &'a BTreeMap<TreePath, Arrived>,
    here: &mut Vec<&'a [u8]>,
    to_go: &mut Vec<&'a [u8]>,
) -> Walked<'a> {
    while let Some(name) = to_go.pop() {
        if name == b".." {
            if here.pop().is_none() {
                return Walked::Out;
            }
            continue;
        }
        here.push(name);
        match TreePath::new(here.join(&b'/')).and_then(|path| tree.get(&path)) {
            Some(Arrived::Directory) => {}
            Some(Arrived::Link(target)) => {
                here.pop();
                return Walked::Link(target);
            }
            Some(Arrived::File) | None => return Walked::There,
        }
    }
    Walked::There
}

/// The names of a relative path, the last one first; nothing for an absolute one.
fn names(path: &[u8]) -> Option<Vec<&[u8]>> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    (!path.starts_with(b"/")).then(|| names.rev().collect())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nucleus_sys::{Mode, OFlags};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use rustix::fs::ResolveFlags;
    use rustix::io::Errno;

    use super::*;
    use crate::bundle::tree::testing::{Scratch, Seed};

    fn tree(entries: &[(&str, Arrived)]) -> BTreeMap<TreePath, Arrived> {
        let path = |text: &str| TreePath::new(text.into()).unwrap();
        entries.iter().map(|(name, arrived)| (path(name), arrived.clone())).collect()
    }

    fn link(target: &str) -> Arrived {
        Arrived::Link(target.into())
    }

    #[test]
    fn links_are_followed_and_not_only_read() {
        for (target, out) in [
            ("x", false),
            ("../d/x", false),
            ("..", false),
            ("../", false),
            ("../..", true),
            ("/d/x", true),
            // By its text it stays inside; by what `up` is, it does not.
            ("up/..", true),
            ("up/d/../d/x", false),
            ("nothing/../../..", false),
            ("x/../../..", false),
            ("self", false),
        ] {
            let tree = tree(&[
                ("d", Arrived::Directory),
                ("d/x", Arrived::File),
                ("d/up", link("..")),
                ("d/self", link("self")),
                ("d/link", link(target)),
            ]);
            let found: Vec<String> = leading_out(&tree).iter().map(ToString::to_string).collect();
            assert_eq!(found, if out { vec!["d/link"] } else { vec![] }, "{target}");
        }
    }

    /// Trees of directories `a` and `b` full of links among each other.
    fn mazes() -> impl Strategy<Value = Seed> {
        let name = || prop_oneof![Just("a"), Just("b"), Just("c")];
        let target = vec(prop_oneof![Just(".."), Just("a"), Just("b"), Just("c"), Just(".")], 1..6)
            .prop_map(|names| Seed::Link(names.join("/").into_bytes()));
        let file = Just(Seed::File { content: Vec::new(), hole: 0, mode: 0o644 });
        let leaf = prop_oneof![3 => target, 1 => file];
        let directory = move |entry: BoxedStrategy<Seed>| {
            btree_map(name().prop_map(|name| name.as_bytes().to_vec()), entry, 0..4)
                .prop_map(|entries| Seed::Directory { mode: 0o755, entries })
        };
        directory(leaf.prop_recursive(3, 20, 3, directory).boxed())
    }

    fn list(seed: &Seed, path: &TreePath, tree: &mut BTreeMap<TreePath, Arrived>) {
        let arrived = match seed {
            Seed::File { .. } => Arrived::File,
            Seed::Link(target) => Arrived::Link(target.clone()),
            Seed::Directory { entries, .. } => {
                for (name, seed) in entries {
                    let name = std::ffi::CString::new(name.as_slice()).unwrap();
                    list(seed, &path.join(&name), tree);
                }
                Arrived::Directory
            }
        };
        tree.insert(path.clone(), arrived);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// EXDEV is the kernel's word for a path that leaves, openat2(2).
        #[test]
        fn the_kernel_is_of_the_same_opinion(seed in mazes()) {
            let scratch = Scratch::new();
            seed.plant(&scratch.path("maze"));
            let root = std::fs::File::open(scratch.path("maze")).unwrap();
            let mut tree = BTreeMap::new();
            list(&seed, &TreePath::default(), &mut tree);
            let theirs = tree.keys().filter(|path| {
                let text = if path.as_bytes().is_empty() { &b"."[..] } else { path.as_bytes() };
                let opened =
                    rustix::fs::openat2(root.as_fd(), text, OFlags::PATH, Mode::empty(), ResolveFlags::BENEATH);
                opened.is_err_and(|errno| errno == Errno::XDEV)
            });
            prop_assert_eq!(leading_out(&tree), theirs.collect::<Vec<_>>());
        }
    }
}
