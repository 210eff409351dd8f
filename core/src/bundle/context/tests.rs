use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use rustix::fs::{FileType, XattrFlags, getxattr, mknodat, setxattr};

use super::*;
use crate::bundle::tree::Kind;
use crate::bundle::tree::testing::{Scratch, Seed, trees};
use crate::plan::{Admitted, ContextOwner, Execution};
use crate::profile::Origin;

/// A source, and the place of its copy.
struct Rig {
    scratch: Scratch,
    plan: ContextPlan,
    place: PathBuf,
}

impl Rig {
    fn new() -> Self {
        let scratch = Scratch::new();
        let admitted = Admitted { target: "/context".into(), why: String::new() };
        let plan = ContextPlan {
            source: scratch.path("source"),
            target: "/context".into(),
            mode: ContextMode::Copy,
            verify: false,
            exclude: Vec::new(),
            size: 1 << 30,
            owner: ContextOwner::Source,
            execution: Execution::Denied,
            admitted: Decided::new(admitted, Origin::BuiltIn("test")),
        };
        let place = scratch.path("copy");
        Self { scratch, plan, place }
    }

    /// A source with an empty file in it.
    fn planted() -> Self {
        let rig = Self::new();
        fs::create_dir(&rig.plan.source).unwrap();
        fs::write(rig.source("file"), "").unwrap();
        rig
    }

    fn source(&self, name: &str) -> PathBuf {
        self.plan.source.join(name)
    }

    fn copy(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn provide(&self) -> Result<OwnedFd> {
        let source = rustix::fs::open(&self.plan.source, OFlags::PATH, Mode::empty()).unwrap();
        let context = Decided::new(self.plan.clone(), Origin::BuiltIn("test"));
        provide(&context, source, &Reader { user: None, ids: (7, 8) }, &self.place)
    }

    #[track_caller]
    fn copied(&self) {
        self.provide().unwrap_or_else(|error| panic!("{error} {:?}", error.also));
    }

    #[track_caller]
    fn refused(&self) -> Error {
        let error = self.provide().expect_err("it is refused");
        assert_eq!(error.code, ErrorCode::HostUnfit, "{error}");
        error
    }
}

fn entries(tree: &Path) -> Vec<Entry> {
    let directory = fs::File::open(tree).unwrap();
    let is_kept = |name: &[u8]| name.starts_with(b"user.");
    let examiner = Examiner { wants: &|_, _| true, is_kept, progress: &Progress::default() };
    examine(directory.as_fd(), &examiner).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_copy_of_any_tree_is_equal_to_its_source(tree in trees(), verify in any::<bool>(), aside in any::<bool>()) {
        let mut rig = Rig::new();
        rig.plan.verify = verify;
        // Another file system shares no blocks, and often takes no copy by the kernel either.
        let shm = PathBuf::from(format!("/dev/shm/nucleus-context-{}", std::process::id()));
        if aside {
            rig.place = shm.clone();
        }
        tree.plant(&rig.plan.source);
        let copied = rig.provide();
        let equal = copied.as_ref().map(|_| entries(&rig.plan.source) == entries(&rig.place));
        let times = copied.is_ok() && same_times(&rig.plan.source, &rig.place);
        let _ = fs::remove_dir_all(shm);
        prop_assert_eq!(equal, Ok(true));
        prop_assert!(times);
    }

    #[test]
    fn what_is_left_out_is_all_that_is_missing(tree in trees(), secret in "[a-z]{8}") {
        let mut rig = Rig::new();
        tree.plant(&rig.plan.source);
        let whole = entries(&rig.plan.source);
        let deepest = whole.iter().rfind(|entry| entry.kind == Kind::Directory).unwrap();
        let hidden = rig.plan.source.join(std::ffi::OsStr::from_bytes(deepest.path.as_bytes())).join(&secret);
        Seed::Directory { mode: 0o755, entries: [(b"x".to_vec(), tree)].into() }.plant(&hidden);
        rig.plan.exclude = vec![secret];
        rig.copied();
        prop_assert_eq!(entries(&rig.place), whole);
    }
}

fn same_times(source: &Path, copy: &Path) -> bool {
    let time = |path: &Path| fs::symlink_metadata(path).map(|it| (it.mtime(), it.mtime_nsec())).unwrap();
    let below = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let is_directory = fs::symlink_metadata(source).unwrap().is_dir();
    let inside =
        !is_directory || below(source).all(|name| same_times(&source.join(&name), &copy.join(&name)));
    time(source) == time(copy) && inside
}

#[test]
fn what_would_give_rights_is_not_copied() {
    let rig = Rig::planted();
    let (file, copy) = (rig.source("file"), rig.copy("file"));
    std::os::unix::fs::chown(&file, Some(3), Some(4)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o6755)).unwrap();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    setxattr(&file, "security.capability", &capability, XattrFlags::empty()).unwrap();
    setxattr(&file, "user.note", b"kept", XattrFlags::empty()).unwrap();
    rig.copied();
    let metadata = fs::metadata(&copy).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o755, 3, 4));
    let mut value = [0_u8; 64];
    assert_eq!(getxattr(&copy, "user.note", &mut value[..]).unwrap(), 4);
    assert!(getxattr(&copy, "security.capability", &mut value[..]).is_err());
}

#[test]
fn the_workload_may_own_the_copy() {
    let mut rig = Rig::planted();
    rig.plan.owner = ContextOwner::Workload;
    symlink("file", rig.source("link")).unwrap();
    rig.plan.verify = true;
    rig.copied();
    for name in ["", "file", "link"] {
        let metadata = fs::symlink_metadata(rig.copy(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (7, 8), "{name}");
    }
}

#[test]
fn holes_stay_holes() {
    let rig = Rig::planted();
    let file = fs::File::create(rig.source("file")).unwrap();
    file.set_len(1 << 29).unwrap();
    file.write_all_at(b"in the middle", 1 << 28).unwrap();
    rig.copied();
    let copy = fs::File::open(rig.copy("file")).unwrap();
    let mut found = [0; 13];
    copy.read_exact_at(&mut found, 1 << 28).unwrap();
    assert_eq!(&found, b"in the middle");
    let metadata = copy.metadata().unwrap();
    assert_eq!(metadata.len(), 1 << 29);
    assert!(metadata.blocks() < 100, "{} blocks", metadata.blocks());
}

#[test]
fn what_no_context_holds_is_refused_by_name_and_all_at_once() {
    for mode in [ContextMode::Copy, ContextMode::Bind] {
        let mut rig = Rig::planted();
        rig.plan.mode = mode;
        let top = fs::File::open(&rig.plan.source).unwrap();
        let make = |name: &str, kind, device| {
            mknodat(&top, name, kind, Mode::from_raw_mode(0o600), device).unwrap();
        };
        make("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        make("disk", FileType::BlockDevice, rustix::fs::makedev(8, 0));
        make("pipe", FileType::Fifo, 0);
        make("socket", FileType::Socket, 0);
        for (name, target) in
            [("absolute", "/etc/shadow"), ("up", "../x"), ("inside", "file"), ("dangling", "no")]
        {
            symlink(target, rig.source(name)).unwrap();
        }
        let error = rig.refused();
        let also: Vec<String> = error.also.iter().map(ToString::to_string).collect();
        let expected = [
            "absolute: it is a link that leads out of the context",
            "disk: it is a device",
            "null: it is a device",
            "pipe: it is a fifo",
            "socket: it is a socket",
            "up: it is a link that leads out of the context",
        ];
        assert_eq!(also, expected.map(|text| format!("cannot take: {text}")), "{mode:?}");
        assert!(error.cause.unwrap().contains("6 names cannot be part of it"));
    }
}

#[test]
fn ten_are_named_and_the_rest_are_counted() {
    let rig = Rig::planted();
    (0..15).for_each(|n| symlink("/", rig.source(&format!("link{n:02}"))).unwrap());
    let error = rig.refused();
    assert_eq!(error.also.len(), 10);
    assert!(error.cause.unwrap().ends_with("the first 10 follow, 5 more do not"));
}

#[test]
fn the_history_and_what_a_build_left_stay_behind_unless_said() {
    let mut rig = Rig::planted();
    for directory in [".git/objects", "target/debug", "deep/target", "logs"] {
        fs::create_dir_all(rig.source(directory)).unwrap();
    }
    for file in ["logs/a.log", "logs/keep.log", "note", "secret", "deep/.git"] {
        fs::write(rig.source(file), "").unwrap();
    }
    fs::write(rig.source(".nucleusignore"), "*.log\n!keep.log\nsecret\n").unwrap();
    rig.plan.exclude = vec!["!secret".into(), "/note".into()];
    rig.plan.verify = true;
    rig.copied();
    let copied: Vec<String> = entries(&rig.place).iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(copied, [".", ".nucleusignore", "deep", "file", "logs", "logs/keep.log", "secret"]);
}

#[test]
fn a_list_that_is_no_file_is_refused() {
    for make in [
        |path: &Path| symlink("/etc/passwd", path).unwrap(),
        |path: &Path| fs::create_dir(path).unwrap(),
        |path: &Path| fs::write(path, vec![b'x'; (1 << 20) + 1]).unwrap(),
        |path: &Path| {
            let parent = fs::File::open(path.parent().unwrap()).unwrap();
            mknodat(&parent, ".nucleusignore", FileType::Fifo, Mode::RUSR, 0).unwrap();
        },
    ] {
        let rig = Rig::planted();
        make(&rig.source(".nucleusignore"));
        assert!(rig.refused().cause.unwrap().starts_with(".nucleusignore: it is "));
    }
}

#[test]
fn a_list_beside_a_bind_is_refused() {
    let mut rig = Rig::planted();
    rig.plan.mode = ContextMode::Bind;
    rig.copied();
    fs::write(rig.source(".nucleusignore"), "secret").unwrap();
    assert!(rig.refused().cause.unwrap().contains("shows all of it"));
    assert!(!rig.place.exists());
}

#[test]
fn a_copy_grows_no_larger_than_it_may() {
    let mut rig = Rig::planted();
    rig.plan.size = 10;
    fs::write(rig.source("file"), "0123456789").unwrap();
    rig.copied();
    fs::remove_dir_all(&rig.place).unwrap();
    fs::write(rig.source("more"), "x").unwrap();
    let error = rig.refused();
    assert!(error.cause.unwrap().contains("larger than 10 bytes"));
    assert!(error.hint.unwrap().contains("context.size"));
}

/// Their bytes count for each name, too.
#[test]
fn hard_links_become_files_of_their_own() {
    let mut rig = Rig::planted();
    fs::write(rig.source("file"), "0123456789").unwrap();
    fs::hard_link(rig.source("file"), rig.source("other")).unwrap();
    rig.copied();
    let [file, other] = ["file", "other"].map(|name| fs::metadata(rig.copy(name)).unwrap());
    assert_eq!((file.nlink(), other.nlink(), other.len()), (1, 1, 10));
    fs::remove_dir_all(&rig.place).unwrap();
    rig.plan.size = 19;
    assert!(rig.refused().cause.unwrap().contains("larger than 19 bytes"));
}

/// Deeper than a path can be long.
#[test]
fn depth_has_no_bound() {
    let rig = Rig::planted();
    let mut here = rustix::fs::open(&rig.plan.source, OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..300 {
        let name = "d".repeat(40);
        rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, &name, OFlags::PATH, Mode::empty()).unwrap();
    }
    rustix::fs::symlinkat("../x", &here, "link").unwrap();
    rig.copied();
    assert_eq!(entries(&rig.place).len(), 303);
    rustix::fs::symlinkat("../".repeat(301), &here, "out").unwrap();
    fs::remove_dir_all(&rig.place).unwrap();
    assert!(rig.refused().also[0].to_string().contains("/out: it is a link"));
}

/// Ends the threads of a test, however it ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file that somebody writes all the time, from its start to its end, each time with a new number all over. So what it holds
/// at one time is one number up to some byte, and the number before from there on. Numbers do not come again: a content that
/// was there before the copy, and is what arrived, was there at one time.
#[test]
fn a_verified_copy_is_what_was_there_at_one_time() {
    const NUMBERS: usize = 25_000;
    const PIECE: usize = 10_000;
    let filled = |number: u64| number.to_be_bytes().repeat(NUMBERS);
    let was_there = |content: &[u8]| {
        let word = |at: usize| u64::from_be_bytes(content[at..at + 8].try_into().unwrap());
        // One of them is whole: there is one byte at which the number changes.
        let before = [word(content.len() - 8), word(0).saturating_sub(1)];
        before.into_iter().any(|number| {
            let (new, old) = (filled(number + 1), filled(number));
            let from_the_start = content.iter().zip(&new).take_while(|(one, other)| one == other).count();
            content[from_the_start..] == old[from_the_start..]
        })
    };
    let mut rig = Rig::planted();
    rig.plan.verify = true;
    let stop = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        let file = fs::File::create(rig.source("file")).unwrap();
        file.write_all_at(&filled(1), 0).unwrap();
        scope.spawn(|| {
            let file = file;
            for number in (2..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                for (place, piece) in filled(number).chunks(PIECE).enumerate() {
                    file.write_all_at(piece, (place * PIECE) as u64).unwrap();
                }
            }
        });
        let mut refused = 0;
        for _ in 0..200 {
            match rig.provide() {
                Ok(_) => assert!(was_there(&fs::read(rig.copy("file")).unwrap()), "a content that never was"),
                Err(error) => {
                    assert!(error.also[0].to_string().contains("file: its content"), "{error}");
                    refused += 1;
                }
            }
            fs::remove_dir_all(&rig.place).unwrap();
        }
        refused
    });
    assert!(refused > 0, "nobody wrote meanwhile");
}

/// Somebody puts a link to a secret in the place of a file, and of a directory, again and again.
#[test]
fn no_exchange_of_names_leads_out() {
    let rig = Rig::planted();
    let outside = rig.scratch.path("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("inner"), "canary").unwrap();
    fs::create_dir(rig.source("directory")).unwrap();
    fs::write(rig.source("directory/inner"), "harmless").unwrap();
    fs::write(rig.source("file"), "harmless").unwrap();
    let traps = [("file", outside.join("inner")), ("directory", outside.clone())];
    for (name, target) in &traps {
        symlink(target, rig.scratch.path(&format!("trap-{name}"))).unwrap();
    }
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut copies, deadline) = (0, SystemTime::now() + Duration::from_mins(1));
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for (name, _) in &traps {
            let (here, there) = (rig.source(name), rig.scratch.path(&format!("trap-{name}")));
            scope.spawn(|| {
                let (here, there) = (here, there);
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                while !stop.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(rustix::fs::CWD, &here, rustix::fs::CWD, &there, flags)
                        .unwrap();
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while swaps.load(Ordering::Relaxed) < 20_000 || copies < 100 {
            assert!(SystemTime::now() < deadline, "{copies} copies");
            drop(rig.provide());
            for entry in entries(&rig.place).iter().filter(|entry| matches!(entry.kind, Kind::File { .. })) {
                assert_ne!(fs::read_to_string(rig.copy(&entry.path.to_string())).unwrap(), "canary");
            }
            fs::remove_dir_all(&rig.place).unwrap();
            copies += 1;
        }
    });
}
