//! Root file systems made from busybox, honest and hostile.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The static busybox that [`Rootfs::busybox`] copies.
const BUSYBOX: &str = "/bin/busybox";

/// A directory with a small system in it.
#[derive(Debug)]
pub struct Rootfs {
    path: PathBuf,
}

/// What a hostile image puts where the runtime will mount or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// `/dev` is a link to a host directory (runc 2026-41579, crun 2026-47766).
    DevIsLink,
    /// `/proc` is a link into the image (CVE-2019-19921 and youki 2025-54867).
    ProcIsLink,
    /// `/sys` is a link into the image.
    SysIsLink,
    /// `/dev/null` is a link to a file (CVE-2025-31133).
    NullIsLink,
    /// `/dev/console` is a link to a file (crun 2026-88264).
    ConsoleIsLink,
    /// `/dev/pts` is a link to a directory.
    PtsIsLink,
    /// `/etc` is a link to a host directory.
    EtcIsLink,
}

impl Trap {
    /// All traps.
    pub const ALL: [Self; 7] = [
        Self::DevIsLink,
        Self::ProcIsLink,
        Self::SysIsLink,
        Self::NullIsLink,
        Self::ConsoleIsLink,
        Self::PtsIsLink,
        Self::EtcIsLink,
    ];

    fn place(self) -> &'static str {
        match self {
            Self::DevIsLink => "dev",
            Self::ProcIsLink => "proc",
            Self::SysIsLink => "sys",
            Self::NullIsLink => "dev/null",
            Self::ConsoleIsLink => "dev/console",
            Self::PtsIsLink => "dev/pts",
            Self::EtcIsLink => "etc",
        }
    }
}

impl Rootfs {
    /// A busybox system with all applets at `path`, which is made.
    pub fn busybox(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        for directory in ["bin", "dev", "etc", "proc", "sys", "root", "tmp", "run", "var", "usr/bin"] {
            fs::create_dir_all(path.join(directory)).expect("make the root's directories");
        }
        fs::set_permissions(path.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("open /tmp");
        fs::copy(BUSYBOX, path.join("bin/busybox")).expect("copy busybox (tests/install brings it)");
        for applet in applets() {
            if applet != "busybox" {
                symlink("busybox", path.join("bin").join(applet)).expect("link an applet");
            }
        }
        let this = Self { path };
        this.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:1234:2345::/srv:/bin/sh\n");
        this.file("etc/group", "root:x:0:\nweb:x:2345:\nextra:x:3456:web\n");
        this
    }

    /// Where it lies on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file in it.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    /// Writes an executable file in it.
    pub fn script(&self, name: &str, content: &str) -> PathBuf {
        let path = self.file(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make it executable");
        path
    }

    /// Puts a link in place of whatever is at `name`.
    pub fn link(&self, name: &str, target: impl AsRef<Path>) {
        let path = self.path.join(name);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path).expect("clear the place of a link");
        } else {
            let _ = fs::remove_file(&path);
        }
        symlink(target, &path).unwrap_or_else(|error| panic!("link {}: {error}", path.display()));
    }

    /// Lays a trap that leads to `bait`, an absolute path of the host.
    pub fn trap(&self, trap: Trap, bait: &Path) {
        self.link(trap.place(), bait);
    }
}

fn applets() -> Vec<String> {
    let output = Command::new(BUSYBOX).arg("--list").output().expect("busybox lists its applets");
    String::from_utf8(output.stdout).expect("applets have plain names").lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busybox_root_runs_a_shell_and_takes_traps() {
        let path = std::env::temp_dir().join(format!("rootfs-{}", std::process::id()));
        let root = Rootfs::busybox(&path);
        let output = Command::new(path.join("bin/sh")).args(["-c", "echo $((6*7))"]).output().unwrap();
        assert_eq!(output.stdout, b"42\n");
        for trap in Trap::ALL {
            root.trap(trap, Path::new("/nowhere"));
            assert_eq!(fs::read_link(path.join(trap.place())).unwrap(), Path::new("/nowhere"), "{trap:?}");
            if trap.place() == "dev" {
                fs::remove_file(path.join("dev")).unwrap();
                fs::create_dir(path.join("dev")).unwrap();
            }
        }
        fs::remove_dir_all(path).unwrap();
    }
}
