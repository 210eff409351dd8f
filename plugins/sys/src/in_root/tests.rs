//! Hostile trees, the kernel as the walk's oracle, and a race.

use super::resolve::by_kernel;
use super::walk::walk;
use super::*;
use proptest::prelude::*;
use rustix::fs::{CWD, RenameFlags, fstat, open, renameat_with};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A directory with a `root` to be attacked and an `outside` that must stay as it is; removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("nucleus-in-root-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().canonicalize().unwrap().join(name);
        std::fs::create_dir_all(path.join("root")).unwrap();
        std::fs::create_dir_all(path.join("outside")).unwrap();
        std::fs::write(path.join("outside/secret"), "secret").unwrap();
        Self(path)
    }

    fn at(&self, inside: &str) -> PathBuf {
        self.0.join("root").join(inside)
    }

    fn root(&self) -> OwnedFd {
        open(self.0.join("root"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    fn holds(&self, file: &OwnedFd) -> bool {
        real_path(file).starts_with(self.0.join("root"))
    }

    fn outside(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join("outside")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn real_path(file: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

fn path(text: &str) -> InRootPath {
    InRootPath::new(text).unwrap()
}

fn errno(result: io::Result<OwnedFd>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

#[test]
fn text_is_validated() {
    assert_eq!(InRootPath::new(""), Err(InvalidPath::Empty));
    assert_eq!(InRootPath::new("a\0b"), Err(InvalidPath::Nul));
    assert_eq!(InRootPath::new("x".repeat(256)), Err(InvalidPath::TooLong));
    assert_eq!(InRootPath::new("x/".repeat(2048)), Err(InvalidPath::TooLong));
    assert_eq!(path("/a//./b/"), path("a/b"));
    assert_eq!(path("a/../b").to_string(), "/a/../b");
    assert_eq!(path("/"), InRootPath::root());
    assert_eq!(path("/a").join("b").unwrap(), path("/a/b"));
}

#[test]
fn links_mean_what_they_mean_inside() {
    let tree = Tree::new();
    std::fs::create_dir(tree.at("etc")).unwrap();
    std::fs::write(tree.at("etc/passwd"), "inside").unwrap();
    symlink("/etc", tree.at("absolute")).unwrap();
    symlink("../../../../etc", tree.at("up")).unwrap();
    symlink(tree.0.join("outside"), tree.at("host")).unwrap();
    let fd = tree.root();
    for resolver in [by_kernel, walk] {
        for text in ["absolute/passwd", "up/passwd", "../etc/passwd", "etc/../../etc/passwd"] {
            let file = resolver(fd.as_fd(), &path(text), OFlags::RDONLY, LastLink::Follow).unwrap();
            assert_eq!(real_path(&file), tree.at("etc/passwd"), "{text}");
        }
        let escape = resolver(fd.as_fd(), &path("host/secret"), OFlags::PATH, LastLink::Follow);
        assert_eq!(escape.unwrap_err(), Errno::NOENT);
        let kept = resolver(fd.as_fd(), &path("host"), OFlags::RDONLY, LastLink::Keep);
        assert_eq!(kept.unwrap_err(), Errno::LOOP);
    }
}

#[test]
fn a_link_that_asks_for_a_directory_gets_no_file() {
    let tree = Tree::new();
    std::fs::write(tree.at("file"), "").unwrap();
    symlink("file/", tree.at("slash")).unwrap();
    symlink("file/.", tree.at("dot")).unwrap();
    let fd = tree.root();
    for (resolver, link) in
        [by_kernel, walk].into_iter().flat_map(|resolver| [(resolver, "slash"), (resolver, "dot")])
    {
        let refused = resolver(fd.as_fd(), &path(link), OFlags::PATH, LastLink::Follow);
        assert_eq!(refused.unwrap_err(), Errno::NOTDIR, "{link}");
    }
}

#[test]
fn works_on_a_kernel_without_openat2() {
    let tree = Tree::new();
    symlink("/real", tree.at("link")).unwrap();
    std::fs::create_dir(tree.at("real")).unwrap();
    let fd = tree.root();
    crate::testing::in_child(|| {
        crate::testing::without(&[libc::SYS_openat2]);
        let made = Root::new(fd.as_fd()).mkdir_all(&path("link/../link/made"), Mode::from(0o755)).unwrap();
        assert_eq!(real_path(&made), tree.at("real/made"));
    });
}

#[test]
fn magic_links_are_refused() {
    let host = open("/", OFlags::PATH, Mode::empty()).unwrap();
    for resolver in [by_kernel, walk] {
        let magic = resolver(host.as_fd(), &path("proc/self/root/etc"), OFlags::PATH, LastLink::Follow);
        assert_eq!(magic.unwrap_err(), Errno::LOOP);
    }
}

#[test]
fn mkdir_all_makes_what_is_missing_and_nothing_outside() {
    let tree = Tree::new();
    symlink("/real", tree.at("link")).unwrap();
    std::fs::create_dir(tree.at("real")).unwrap();
    symlink("../../outside/new", tree.at("dangling")).unwrap();
    symlink("dangling/twice", tree.at("twice")).unwrap();
    symlink("loop", tree.at("loop")).unwrap();
    std::fs::write(tree.at("file"), "").unwrap();
    let fd = tree.root();
    let root = Root::new(fd.as_fd());
    let make = |text| root.mkdir_all(&path(text), Mode::from(0o755));
    assert_eq!(real_path(&make("link/a/b").unwrap()), tree.at("real/a/b"));
    assert_eq!(real_path(&make("/").unwrap()), tree.at("").components().as_path());
    assert_eq!(errno(make("loop")), Some(libc::ELOOP));
    assert_eq!(real_path(&make("dangling/x").unwrap()), tree.at("outside/new/x"));
    assert_eq!(real_path(&make("twice").unwrap()), tree.at("outside/new/twice"));
    assert_eq!(errno(make("file/x")), Some(libc::ENOTDIR));
    assert_eq!(errno(make("missing/../../x")), Some(libc::ENOENT));
    assert!(!tree.at("missing").exists());
    assert_eq!(tree.outside(), ["secret"]);
}

#[test]
fn files_and_links_are_made_inside() {
    let tree = Tree::new();
    symlink("../../outside/new", tree.at("dangling")).unwrap();
    symlink("/present", tree.at("alias")).unwrap();
    std::fs::write(tree.at("present"), "kept").unwrap();
    let fd = tree.root();
    let root = Root::new(fd.as_fd());
    let create = |text| root.create_file(&path(text), Mode::from(0o600));
    assert_eq!(real_path(&create("deep/er/file").unwrap()), tree.at("deep/er/file"));
    assert_eq!(real_path(&create("alias").unwrap()), tree.at("present"));
    assert_eq!(std::fs::read_to_string(tree.at("present")).unwrap(), "kept");
    assert_eq!(real_path(&create("dangling").unwrap()), tree.at("outside/new"));
    assert_eq!(errno(create("deep")), Some(libc::EISDIR));
    assert_eq!(errno(create("/")), Some(libc::EISDIR));
    root.symlink(c"/anything", &path("dev/core")).unwrap();
    assert_eq!(root.read_link(&path("dev/core")).unwrap().as_c_str(), c"/anything");
    assert!(root.symlink(c"x", &path("dev/core")).is_err());
    assert_eq!(tree.outside(), ["secret"]);
}

/// What stands at one of a few fixed places of the tree.
#[derive(Debug, Clone)]
enum Node {
    Directory,
    File,
    Link(String),
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        2 => Just(Node::Directory),
        1 => Just(Node::File),
        4 => text().prop_map(Node::Link),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "..", "..", ".", "outside", "root", "missing"]);
    let slash = prop::sample::select(vec!["", "/"]);
    (slash.clone(), prop::collection::vec(name, 1..6), slash)
        .prop_map(|(start, names, end)| start.to_owned() + &names.join("/") + end)
}

fn grow(at: &Path, nodes: &[Node], depth: usize) {
    for (name, node) in ["a", "b", "c"].iter().zip(nodes) {
        let place = at.join(name);
        match node {
            Node::File => std::fs::write(&place, "").unwrap(),
            Node::Link(target) => symlink(target, &place).unwrap(),
            Node::Directory => std::fs::create_dir(&place).unwrap(),
        }
        if matches!(node, Node::Directory) && depth > 0 {
            grow(&place, &nodes[1..], depth - 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_leaves_the_root_and_the_walk_agrees_with_the_kernel(
        nodes in prop::collection::vec(node(), 6),
        wanted in prop::collection::vec(text(), 8),
    ) {
        let tree = Tree::new();
        grow(&tree.at(""), &nodes, 3);
        let fd = tree.root();
        for (wanted, last) in wanted.iter().flat_map(|text| [(text, LastLink::Follow), (text, LastLink::Keep)]) {
            let found = [by_kernel, walk].map(|resolver| {
                let file = resolver(fd.as_fd(), &path(wanted), OFlags::PATH, last)?;
                let stat = fstat(&file).unwrap();
                assert!(tree.holds(&file), "{wanted} led to {:?}", real_path(&file));
                Ok::<_, Errno>((stat.st_dev, stat.st_ino))
            });
            prop_assert_eq!(found[0], found[1], "{} {:?}", wanted, last);
        }
    }

    #[test]
    fn mkdir_all_never_makes_anything_outside(
        nodes in prop::collection::vec(node(), 6),
        wanted in text(),
    ) {
        let tree = Tree::new();
        grow(&tree.at(""), &nodes, 3);
        let fd = tree.root();
        if let Ok(made) = Root::new(fd.as_fd()).mkdir_all(&path(&wanted), Mode::from(0o755)) {
            prop_assert!(tree.holds(&made));
        }
        prop_assert_eq!(tree.outside(), ["secret"]);
        prop_assert_eq!(std::fs::read_dir(&tree.0).unwrap().count(), 2);
    }
}

/// CVE-2021-30465: the target is exchanged for a link to the host between check and use.
#[test]
fn a_rename_race_never_leads_out() {
    let tree = Tree::new();
    std::fs::create_dir_all(tree.at("target/x")).unwrap();
    symlink(tree.0.join("outside"), tree.at("trap")).unwrap();
    let (stop, fd) = (AtomicBool::new(false), tree.root());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (target, trap) = (tree.at("target"), tree.at("trap"));
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &target, CWD, &trap, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let end = Instant::now() + Duration::from_millis(300);
        let mut resolved = 0;
        while Instant::now() < end {
            resolved +=
                [by_kernel, walk].map(|resolver| attack(&tree, &fd, resolver)).into_iter().sum::<usize>();
            let _ = Root::new(fd.as_fd()).mkdir_all(&path("target/x/made/deep"), Mode::from(0o755));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(resolved > 0, "the race never let a resolution succeed");
    });
    assert_eq!(tree.outside(), ["secret"]);
}

type Resolver = fn(BorrowedFd<'_>, &InRootPath, OFlags, LastLink) -> rustix::io::Result<OwnedFd>;

fn attack(tree: &Tree, fd: &OwnedFd, resolver: Resolver) -> usize {
    let found = resolver(fd.as_fd(), &path("target/x/../x"), OFlags::PATH, LastLink::Follow);
    found.map_or(0, |found| {
        assert!(tree.holds(&found), "led to {:?}", real_path(&found));
        1
    })
}

#[test]
fn a_cleaned_path_names_the_place_without_parents() {
    let cases = [
        ("/dev/../proc", "/proc"),
        ("/../../proc/./", "/proc"),
        ("a/b/../../../c", "/c"),
        ("/a/..", "/"),
        ("/a/...", "/a/..."),
    ];
    for (text, expected) in cases {
        assert_eq!(InRootPath::new(text).unwrap().cleaned().to_string(), expected, "{text}");
    }
}
