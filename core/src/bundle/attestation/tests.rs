use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{XattrFlags, setxattr};

use super::*;
use crate::bundle::tree::testing::{Scratch, trees};

/// A small tree with its manifest.
fn attested(scratch: &Scratch) -> PathBuf {
    let root = scratch.path("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), "root").unwrap();
    fs::set_permissions(root.join("etc/passwd"), fs::Permissions::from_mode(0o644)).unwrap();
    symlink("passwd", root.join("etc/link")).unwrap();
    let attested = attest(&root, None, &Progress::default()).unwrap();
    assert_eq!(attested, Attested { manifest: scratch.path("root.nucleus-manifest"), entries: 4 });
    assert_eq!(verified(&root).unwrap(), attested);
    root
}

fn verified(root: &Path) -> Result<Attested> {
    verify_directory(root, &AttestationPlan::default(), &Progress::default())
}

fn refused(root: &Path) -> Error {
    let error = verified(root).expect_err("it differs");
    assert_eq!(error.code, ErrorCode::AttestationFailed, "{error}");
    error
}

/// What one change is said to be.
fn told(change: impl FnOnce(&Path)) -> String {
    let scratch = Scratch::new();
    let root = attested(&scratch);
    change(&root);
    let error = refused(&root);
    error.also.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn each_change_is_named() {
    let passwd = |root: &Path| root.join("etc/passwd");
    let mode = |bits| fs::Permissions::from_mode(bits);
    let told_of = |change: fn(&Path)| told(change);
    assert_eq!(
        told(|root| fs::write(passwd(root), "toor").unwrap()),
        "cannot trust: etc/passwd: its content (sha256) differs\n"
    );
    assert_eq!(
        told(|root| fs::write(passwd(root), "more").and_then(|()| fs::write(passwd(root), "more!")).unwrap()),
        "cannot trust: etc/passwd: its size is 5, not 4\n"
    );
    assert_eq!(
        told(|root| fs::set_permissions(passwd(root), mode(0o4755)).unwrap()),
        "cannot trust: etc/passwd: its mode is 4755, not 0644\n"
    );
    assert_eq!(
        told(|root| std::os::unix::fs::chown(passwd(root), Some(7), Some(8)).unwrap()),
        "cannot trust: etc/passwd: its user is 7, not 0, its group is 8, not 0\n"
    );
    assert_eq!(
        told(|root| fs::remove_file(passwd(root)).unwrap()),
        "cannot trust: etc/passwd: it is missing\n"
    );
    assert_eq!(
        told(|root| fs::write(root.join("etc/e vil"), "").unwrap()),
        "cannot trust: etc/e\\040vil: it is extra: a file\n"
    );
    let relink = |root: &Path| {
        fs::remove_file(root.join("etc/link")).unwrap();
        symlink("/etc/shadow", root.join("etc/link")).unwrap();
    };
    assert_eq!(
        told_of(relink),
        "cannot trust: etc/link: it is a link to /etc/shadow, not a link to passwd\n"
    );
    // A file's capability changes what is run without touching the file.
    let capability = |root: &Path| {
        let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        setxattr(root.join("etc/passwd"), "security.capability", &value, XattrFlags::empty()).unwrap();
    };
    assert_eq!(told_of(capability), "cannot trust: etc/passwd: its attribute security.capability is extra\n");
    let into_directory = |root: &Path| {
        fs::remove_file(root.join("etc/link")).unwrap();
        fs::create_dir(root.join("etc/link")).unwrap();
    };
    assert!(told_of(into_directory).contains("etc/link: it is a directory, not a link to passwd, its mode"));
}

#[test]
fn the_first_ten_are_named_and_the_rest_are_counted() {
    let scratch = Scratch::new();
    let root = attested(&scratch);
    (0..13).for_each(|n| fs::write(root.join(format!("extra{n:02}")), "").unwrap());
    let error = refused(&root);
    assert_eq!(error.also.len(), 10);
    let cause = error.cause.unwrap();
    assert!(cause.contains("13 entries differ") && cause.contains("3 more"), "{cause}");
    assert!(error.also[9].to_string().contains("extra09"));
}

#[test]
fn a_manifest_lies_beside_the_directory_itself_and_never_inside() {
    let scratch = Scratch::new();
    let root = attested(&scratch);
    symlink(&root, scratch.path("current")).unwrap();
    assert_eq!(verified(&scratch.path("current")).unwrap().manifest, scratch.path("root.nucleus-manifest"));
    for inside in ["manifest", "etc/manifest", "etc/../manifest"] {
        let error = attest(&root, Some(&root.join(inside)), &Progress::default()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
    }
    assert!(verified(&root).is_ok(), "nothing was left inside");
}

#[test]
fn a_manifest_that_others_could_have_written_needs_a_signature() {
    let scratch = Scratch::new();
    let root = attested(&scratch);
    let manifest = scratch.path("root.nucleus-manifest");
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o664)).unwrap();
    assert!(refused(&root).cause.unwrap().contains("could have written it"));
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::chown(&manifest, Some(7), None).unwrap();
    assert!(refused(&root).cause.unwrap().contains("could have written it"));
    fs::remove_file(&manifest).unwrap();
    assert!(refused(&root).to_string().contains("root.nucleus-manifest: No such file"));
}

/// Opened as a file is, a fifo would keep the start waiting for ever.
#[test]
fn a_manifest_or_signature_that_is_no_file_is_refused_at_once() {
    let scratch = Scratch::new();
    let root = attested(&scratch);
    let fifo = |name: &str| {
        let (path, mode) = (scratch.path(name), rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    let signed = AttestationPlan { public_key: Some("RWQ".to_owned()), ..AttestationPlan::default() };
    fifo("root.nucleus-manifest.minisig");
    let error = verify_directory(&root, &signed, &Progress::default()).unwrap_err();
    assert!(error.cause.unwrap().contains("it is no regular file"));
    fs::remove_file(scratch.path("root.nucleus-manifest")).unwrap();
    fifo("root.nucleus-manifest");
    assert!(refused(&root).cause.unwrap().contains("it is no regular file"));
}

#[test]
fn a_manifest_that_is_cut_short_is_no_smaller_manifest() {
    let scratch = Scratch::new();
    let root = attested(&scratch);
    let manifest = scratch.path("root.nucleus-manifest");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.split_inclusive('\n').take(3).collect::<String>()).unwrap();
    assert!(refused(&root).cause.unwrap().contains("cut short"));
}

/// What is no file: devices, a fifo, a socket; all of it in a tree deeper than a path can be long.
#[test]
fn any_kind_at_any_depth_is_attested() {
    let scratch = Scratch::new();
    let root = scratch.path("root");
    fs::create_dir(&root).unwrap();
    let mut here = rustix::fs::open(&root, nucleus_sys::OFlags::PATH, nucleus_sys::Mode::empty()).unwrap();
    let make = |here: BorrowedFd<'_>, name: &str, kind, device| {
        rustix::fs::mknodat(here, name, kind, nucleus_sys::Mode::from_raw_mode(0o644), device).unwrap();
    };
    let name = "d".repeat(200);
    for _ in 0..40 {
        rustix::fs::mkdirat(&here, &name, nucleus_sys::Mode::from_raw_mode(0o755)).unwrap();
        here =
            rustix::fs::openat(&here, &name, nucleus_sys::OFlags::PATH, nucleus_sys::Mode::empty()).unwrap();
    }
    let device = rustix::fs::makedev;
    make(here.as_fd(), "null", rustix::fs::FileType::CharacterDevice, device(1, 3));
    make(here.as_fd(), "pipe", rustix::fs::FileType::Fifo, 0);
    make(here.as_fd(), "socket", rustix::fs::FileType::Socket, 0);
    assert_eq!(attest(&root, None, &Progress::default()).unwrap().entries, 44);
    assert!(verified(&root).is_ok());
    rustix::fs::unlinkat(&here, "null", rustix::fs::AtFlags::empty()).unwrap();
    make(here.as_fd(), "null", rustix::fs::FileType::CharacterDevice, device(1, 1));
    let error = refused(&root);
    let told = error.also[0].cause.clone().unwrap();
    assert_eq!(told, "it is a character device 1:1, not a character device 1:3");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_is_what_its_manifest_says_until_it_changes(tree in trees(), extra in "[a-z]{7}") {
        let scratch = Scratch::new();
        let root = scratch.path("root");
        tree.plant(&root);
        let attested = attest(&root, None, &Progress::default()).unwrap();
        prop_assert_eq!(verified(&root).unwrap(), attested);
        fs::write(root.join(&extra), "").unwrap();
        prop_assert!(refused(&root).also[0].to_string().contains(&extra));
    }
}
