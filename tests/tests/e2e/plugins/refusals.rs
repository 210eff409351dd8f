//! Every file that may not be loaded is refused by its own name, with its own remedy, and nothing of it runs: the plugin that is
//! doctored here would end nucleus as soon as it is loaded.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use nucleus_tests::Host;
use nucleus_tests::plugins::{Plugins, file_name};

/// The profile is written before the file is spoilt, as an operator would have written it.
struct Case<'h> {
    host: &'h Host,
    plugins: Plugins<'h>,
    profile: std::path::PathBuf,
}

impl<'h> Case<'h> {
    fn new(host: &'h Host) -> Self {
        let plugins = Plugins::with(host, "trouble");
        let profile = host.profile(crate::DEV, &plugins.yaml("trouble"));
        Self { host, plugins, profile }
    }

    fn file(&self) -> std::path::PathBuf {
        self.plugins.file("trouble")
    }

    /// Changes bytes of the file.
    fn patch(&self, at: usize, bytes: &[u8]) {
        let mut content = fs::read(self.file()).unwrap();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(self.file(), content).unwrap();
    }

    /// Where the note of `.note.nucleus` lies.
    fn note(&self) -> usize {
        let content = fs::read(self.file()).unwrap();
        let owner = b"\x08\0\0\0\x58\0\0\0\x01\0\0\0nucleus\0";
        content.windows(owner.len()).position(|window| window == owner).expect("the note") + owner.len()
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let run = self.host.shell(&self.profile, "echo it ran").env("TROUBLE", "abort@load");
        let output = run.output().assert_refused(words);
        assert_eq!(output.text(), "");
        assert!(output.stderr.contains("hint:"), "it says what to do\n{output}");
    }
}

fn case(spoil: impl FnOnce(&Case<'_>), words: &[&str]) {
    let host = Host::enter();
    let case = Case::new(&host);
    spoil(&case);
    case.refused(words);
}

/// Without it the others prove nothing: the file is loaded as it is, and ends nucleus.
#[test]
fn the_trap_works() {
    let host = Host::enter();
    let case = Case::new(&host);
    let output = host.shell(&case.profile, "echo it ran").env("TROUBLE", "abort@load").output();
    assert_eq!(output.signal(), Some(6), "{output}");
    assert!(host.shell(&case.profile, "echo it ran").output().assert_success().text().contains("it ran"));
}

#[test]
fn unknown_to_the_operator() {
    let host = Host::enter();
    let case = Case::new(&host);
    let yaml = format!("backend: trouble\nplugins: {{path: [{}]}}", case.plugins.directory().display());
    let profile = host.profile(crate::DEV, &yaml);
    Case { profile, ..case }.refused(&[
        "nobody trusts it",
        "plugins.trust.sha256.trouble",
        "nucleus plugin trust",
    ]);
}

#[test]
fn changed_since_it_was_trusted() {
    let spoil = |case: &Case<'_>| {
        let mut content = fs::read(case.file()).unwrap();
        content.extend(b"\0");
        fs::write(case.file(), content).unwrap();
    };
    case(spoil, &["it has changed: its SHA-256 is", "the profile pins", "find out who changed it"]);
}

#[test]
fn writable_by_others() {
    let spoil =
        |case: &Case<'_>| fs::set_permissions(case.file(), fs::Permissions::from_mode(0o757)).unwrap();
    case(spoil, &["0757", "others can write to it", "chmod go-w"]);
}

#[test]
fn in_a_directory_that_others_can_write_to() {
    let open = |case: &Case<'_>| {
        fs::set_permissions(case.plugins.directory(), fs::Permissions::from_mode(0o777)).unwrap();
    };
    case(open, &["the mode of", "/plugins is 0777", "chmod go-w"]);
}

#[test]
fn of_another_owner() {
    case(|case| chown(case.file(), Some(1234), None).unwrap(), &["belongs to uid 1234", "chown root"]);
}

#[test]
fn in_a_directory_of_another_owner() {
    case(
        |case| chown(case.plugins.directory(), Some(1234), None).unwrap(),
        &["/plugins belongs to uid 1234"],
    );
}

#[test]
fn behind_a_link() {
    let spoil = |case: &Case<'_>| {
        let elsewhere = case.host.path("elsewhere.so");
        fs::rename(case.file(), &elsewhere).unwrap();
        symlink(elsewhere, case.file()).unwrap();
    };
    case(spoil, &["is a symbolic link", "name what it leads to", "elsewhere.so"]);
}

#[test]
fn behind_a_link_on_the_way() {
    let spoil = |case: &Case<'_>| {
        let elsewhere = case.host.path("elsewhere");
        fs::rename(case.plugins.directory(), &elsewhere).unwrap();
        symlink(elsewhere, case.plugins.directory()).unwrap();
    };
    case(spoil, &["/plugins is a symbolic link"]);
}

#[test]
fn no_regular_file() {
    let spoil = |case: &Case<'_>| {
        fs::remove_file(case.file()).unwrap();
        assert!(Command::new("mkfifo").arg(case.file()).status().unwrap().success());
    };
    let host = Host::enter();
    let case = Case::new(&host);
    spoil(&case);
    host.shell(&case.profile, "echo it ran").output().assert_refused(&["it is no regular file"]);
}

#[test]
fn for_another_machine() {
    case(|case| case.patch(18, &[243, 0]), &["it is for riscv64", "build for this machine"]);
}

#[test]
fn for_a_machine_of_32_bits() {
    case(|case| case.patch(4, &[1]), &["a 32-bit machine"]);
}

#[test]
fn too_old() {
    case(|case| case.patch(case.note(), &[0]), &["it is too old", "version 0.0 of the interface", "install"]);
}

#[test]
fn too_new() {
    case(
        |case| case.patch(case.note(), &[2]),
        &["it is too new", "version 2.0 of the interface", "a newer nucleus"],
    );
}

#[test]
fn with_documents_of_later_schemas_only() {
    case(|case| case.patch(case.note() + 8, &[7, 0, 0, 0, 9]), &["it is too new", "schema 7 to 9"]);
}

#[test]
fn cut_off() {
    let spoil = |case: &Case<'_>| {
        let content = fs::read(case.file()).unwrap();
        fs::write(case.file(), &content[..content.len() / 2]).unwrap();
    };
    case(spoil, &["it was cut off", "install the plugin again"]);
}

#[test]
fn no_elf_file() {
    case(|case| fs::write(case.file(), "#!/bin/sh\n").unwrap(), &["it is no ELF file"]);
}

#[test]
fn a_program_and_no_shared_object() {
    case(|case| case.patch(16, &[2]), &["no shared object"]);
}

#[test]
fn a_shared_object_and_no_plugin() {
    let spoil = |case: &Case<'_>| case.patch(case.note() - 8, b"neutron\0");
    case(spoil, &["no plugin of nucleus", "`.note.nucleus`", "export_backend!"]);
}

#[test]
fn of_the_wrong_kind() {
    case(|case| case.patch(case.note() + 16, &[2]), &["it is a hook, and a backend is looked for"]);
}

#[test]
fn another_plugin_under_its_name() {
    let spoil = |case: &Case<'_>| case.patch(case.note() + 24, b"treble\0");
    let host = Host::enter();
    let case = Case::new(&host);
    case.patch(case.note() + 20, &[6]);
    spoil(&case);
    case.refused(&["it is the plugin `treble`, and `trouble` is looked for", "libnucleus_backend_treble.so"]);
}

#[test]
fn an_id_that_is_taken() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "trouble");
    let profile = host.profile(crate::DEV, &plugins.yaml("trouble"));
    let case = Case { host: &host, plugins, profile };
    // The note is honest, and the plugin itself takes the name of a part of nucleus.
    let run = host.shell(&case.profile, "echo it ran").env("TROUBLE", "impostor@describe").output();
    run.assert_refused(&["its note says `trouble`, and the plugin itself says `native-namespace`"]);
}

#[test]
fn a_name_that_no_file_has() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "trouble");
    let profile = host.profile(crate::DEV, &format!("{}\nbackend: treble", plugins.trusting("trouble")));
    let output = host.shell(profile, "true").output();
    output.assert_refused(&["treble", "native-namespace", &file_name("treble"), "/usr/lib/nucleus/plugins"]);
}

#[test]
fn symbols_that_nobody_has() {
    let host = Host::enter();
    let case = Case::new(&host);
    // The name of the one symbol that the host looks up.
    let mut content = fs::read(case.file()).unwrap();
    let name = b"_1as_0lib_1header_0root_bmodule_bloader";
    let places: Vec<usize> =
        (0..content.len() - name.len()).filter(|at| content[*at..].starts_with(name)).collect();
    for at in places {
        content[at..at + 4].copy_from_slice(b"nope");
    }
    fs::write(case.file(), content).unwrap();
    let profile = host.profile(crate::DEV, &case.plugins.yaml("trouble"));
    let output = host.shell(profile, "echo it ran").output();
    output.assert_refused(&["undefined symbol", "export_backend!"]);
}
