//! Classes of service of Intel RDT and its like: groups of the kernel's resctrl file system
//! (Documentation/filesystems/resctrl.rst).
//!
//! What is made for one container alone goes with it, by [`undo`]; a class that the configuration names is shared, and
//! stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nucleus_abi::{Effect, Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};

use crate::config::{IntelRdt, Monitoring};
use crate::fault::{OrFail, system};

const STEP: &str = "put the container into a class of service";
const CHANGE: &str = "change the container's share of caches and memory bandwidth";
const FIELD: &str = "config.json: linux.intelRdt";

/// Where the container goes: decided before anything is made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    root: PathBuf,
    class: PathBuf,
    schemata: &'a [String],
    preparation: Preparation,
    monitor: Option<PathBuf>,
    /// Whether the class is for this container alone.
    own_class: bool,
}

/// What there is to do about the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preparation {
    /// It is there, and as it is to be.
    None,
    /// It is to be made.
    Make,
}

/// What of it the ledger holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Document {
    /// Groups of the container's own, in the order in which they are to be removed.
    Resctrl { directories: Vec<PathBuf> },
}

impl<'a> Place<'a> {
    /// Looks for the class.
    pub(crate) fn find(wanted: &'a IntelRdt, id: &str) -> Result<Self> {
        Self::find_below(&root()?, wanted, id)
    }

    fn find_below(root: &Path, wanted: &'a IntelRdt, id: &str) -> Result<Self> {
        let class = root.join(wanted.class.as_deref().unwrap_or(id));
        let preparation = match (class.is_dir(), &wanted.class) {
            (true, _) => {
                check(&class, &wanted.schemata)?;
                Preparation::None
            }
            (false, Some(name)) if wanted.schemata.is_empty() => return Err(no_class(name)),
            (false, _) => Preparation::Make,
        };
        let monitor = (wanted.monitoring == Monitoring::Own).then(|| class.join("mon_groups").join(id));
        let own_class = wanted.class.is_none();
        Ok(Self { root: root.to_owned(), class, schemata: &wanted.schemata, preparation, monitor, own_class })
    }

    /// What the ledger must hold before [`Self::enter`].
    pub(crate) fn effect(&self, wanted: &IntelRdt) -> Option<Effect> {
        let own_class =
            (wanted.class.is_none() && self.preparation == Preparation::Make).then_some(&self.class);
        let directories: Vec<_> = self.monitor.iter().chain(own_class).cloned().collect();
        let document = serde_json::to_value(Document::Resctrl { directories: directories.clone() }).ok()?;
        (!directories.is_empty()).then_some(Effect::Plugin { document })
    }

    /// Makes what is missing and puts the process there; its children follow.
    pub(crate) fn enter(&self, pid: u32) -> Result<()> {
        if self.preparation == Preparation::Make {
            make(&self.class)?;
            for line in self.schemata {
                self.write(&self.class.join("schemata"), &format!("{line}\n"))?;
            }
        }
        if let Some(monitor) = &self.monitor {
            make(monitor)?;
        }
        [Some(&self.class), self.monitor.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|group| self.write(&group.join("tasks"), &pid.to_string()))
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        write(&self.root, path, text)
    }

    /// The class, where it is the container's alone.
    pub(crate) fn own(self) -> Option<PathBuf> {
        self.own_class.then_some(self.class)
    }
}

/// New schemata of a class that is a container's alone.
pub(crate) struct Changed {
    schemata: PathBuf,
    before: String,
}

impl Changed {
    /// Changes them. The kernel takes all lines or none.
    ///
    /// # Errors
    /// `not-supported` for a container without a class of its own: a shared one is never changed for one container.
    pub(crate) fn make(class: Option<&Path>, lines: &[String]) -> Result<Self> {
        let class = class.ok_or_else(|| {
            Error::new(ErrorCode::NotSupported, CHANGE)
                .on("linux.intelRdt")
                .because("the container has no class of service of its own")
                .hint("make the container with `linux.intelRdt` and without a `closID`")
        })?;
        let schemata = class.join("schemata");
        let before = fs::read_to_string(&schemata).or_fail(CHANGE, schemata.display())?;
        let changed = Self { schemata, before };
        changed.write(&format!("{}\n", lines.join("\n")))?;
        Ok(changed)
    }

    /// What was there before is there again.
    pub(crate) fn take_back(self) -> Result<()> {
        self.write(&self.before)
    }

    fn write(&self, text: &str) -> Result<()> {
        let root = self.schemata.parent().and_then(Path::parent).unwrap_or(Path::new("/sys/fs/resctrl"));
        write(root, &self.schemata, text)
    }
}

/// The kernel says in a file of its own what it did not like.
fn write(root: &Path, path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| {
        let failed = system(STEP, &error).on(format!("{FIELD}: {}: {}", path.display(), text.trim()));
        let status = fs::read_to_string(root.join("info/last_cmd_status")).unwrap_or_default();
        match status.trim() {
            "" | "ok" => failed,
            status => failed.because(status),
        }
    })
}

fn make(group: &Path) -> Result<()> {
    fs::create_dir(group).map_err(|error| {
        let failed = system(STEP, &error).on(format!("{FIELD}: {}", group.display()));
        match error.raw_os_error() {
            Some(libc::ENOSPC) => failed.because("the CPU has no class of service or monitor left (ENOSPC)"),
            _ => failed,
        }
    })
}

/// A class that is there is never changed for one container; it must be what is asked for.
fn check(class: &Path, wanted: &[String]) -> Result<()> {
    let path = class.join("schemata");
    let text = fs::read_to_string(&path).or_fail(STEP, path.display())?;
    let normal = |line: &str| line.split_whitespace().collect::<String>();
    let present: Vec<_> = text.lines().map(normal).collect();
    match wanted.iter().find(|line| !present.contains(&normal(line))) {
        Some(line) => Err(Error::new(ErrorCode::HostUnfit, STEP)
            .on(format!("{FIELD}: {}", path.display()))
            .because(format!("the class exists and has another schema than `{line}`"))
            .hint("name another `closID`, or leave the schemata out")),
        None => Ok(()),
    }
}

fn no_class(name: &str) -> Error {
    Error::new(ErrorCode::HostUnfit, STEP)
        .on(format!("{FIELD}.closID: {name}"))
        .because("there is no such class, and no schemata to make it with")
        .hint("make it below /sys/fs/resctrl, or give `schemata`")
}

/// Where resctrl is mounted.
fn root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").or_fail(STEP, "/proc/self/mounts")?;
    mount_of(&mounts).ok_or_else(|| {
        Error::new(ErrorCode::HostUnfit, STEP)
            .on(FIELD)
            .because("resctrl is not mounted: this CPU or kernel lacks it, or nobody has mounted it")
            .hint("`mount -t resctrl resctrl /sys/fs/resctrl`, where the kernel has it")
    })
}

fn mount_of(mounts: &str) -> Option<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields.get(2) == Some(&"resctrl")).map(|fields| PathBuf::from(fields[1]))
}

/// Removes what the ledger holds; succeeds when it is gone already.
pub(crate) fn undo(document: &serde_json::Value) -> Result<()> {
    let Document::Resctrl { directories } = Document::deserialize(document).map_err(|error| {
        Error::new(ErrorCode::Teardown, "understand an effect of the ledger").because(error)
    })?;
    directories.iter().try_for_each(|directory| match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.or_fail("remove a group of resctrl", directory.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with the files of resctrl: no machine without the hardware has more.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("nucleus-resctrl-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("shared/mon_groups")).unwrap();
            fs::write(root.join("shared/schemata"), "    MB:0=100\n    L3:0=7f0;1=1f\n").unwrap();
            Self(root)
        }

        fn find<'a>(&self, wanted: &'a IntelRdt) -> Result<Place<'a>> {
            Place::find_below(&self.0, wanted, "web")
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn wanted(class: Option<&str>, schemata: &[&str], monitoring: Monitoring) -> IntelRdt {
        let schemata = schemata.iter().map(|line| (*line).to_owned()).collect();
        IntelRdt { class: class.map(str::to_owned), schemata, monitoring }
    }

    #[test]
    fn a_class_of_its_own_is_made_and_goes_with_the_container() {
        let fake = Fake::new("own");
        let wanted = wanted(None, &["L3:0=f"], Monitoring::Off);
        let place = fake.find(&wanted).unwrap();
        let Some(Effect::Plugin { document }) = place.effect(&wanted) else { panic!("it is recorded") };
        place.enter(7).unwrap();
        let class = fake.0.join("web");
        assert_eq!(fs::read_to_string(class.join("schemata")).unwrap(), "L3:0=f\n");
        assert_eq!(fs::read_to_string(class.join("tasks")).unwrap(), "7");
        // The kernel's own files go with the directory.
        fs::remove_file(class.join("schemata")).unwrap();
        fs::remove_file(class.join("tasks")).unwrap();
        undo(&document).unwrap();
        assert!(!class.exists());
        undo(&document).unwrap();
    }

    #[test]
    fn a_shared_class_stays_and_only_the_monitor_goes() {
        let fake = Fake::new("shared");
        let wanted = wanted(Some("shared"), &["L3:0=7f0;1=1f"], Monitoring::Own);
        let place = fake.find(&wanted).unwrap();
        let monitor = fake.0.join("shared/mon_groups/web");
        let document = serde_json::json!({"resctrl": {"directories": [monitor]}});
        assert_eq!(place.effect(&wanted), Some(Effect::Plugin { document }));
        place.enter(7).unwrap();
        assert_eq!(fs::read_to_string(monitor.join("tasks")).unwrap(), "7");
        assert_eq!(fs::read_to_string(fake.0.join("shared/tasks")).unwrap(), "7");
    }

    #[test]
    fn only_a_class_of_its_own_is_changed_for_a_container() {
        let fake = Fake::new("change");
        let own = wanted(None, &["L3:0=f"], Monitoring::Off);
        let place = fake.find(&own).unwrap();
        place.enter(7).unwrap();
        let class = place.own().unwrap();
        let schemata = || fs::read_to_string(class.join("schemata")).unwrap();
        let changed = Changed::make(Some(&class), &["L3:0=3".to_owned(), "MB:0=50".to_owned()]).unwrap();
        assert_eq!(schemata(), "L3:0=3\nMB:0=50\n");
        changed.take_back().unwrap();
        assert_eq!(schemata(), "L3:0=f\n");
        let shared = wanted(Some("shared"), &[], Monitoring::Off);
        let none = fake.find(&shared).unwrap().own();
        let error = Changed::make(none.as_deref(), &["L3:0=1".to_owned()]).err().expect("it is refused");
        assert_eq!(error.code, ErrorCode::NotSupported);
    }

    #[test]
    fn a_class_that_is_missing_or_different_is_named() {
        let fake = Fake::new("wrong");
        let error = fake.find(&wanted(Some("none"), &[], Monitoring::Off)).unwrap_err();
        assert!(error.to_string().contains("linux.intelRdt.closID: none"), "{error}");
        let error = fake.find(&wanted(Some("shared"), &["L3:0=1"], Monitoring::Off)).unwrap_err();
        assert!(error.to_string().contains("another schema than `L3:0=1`"), "{error}");
        // With a schema it is made, and shared.
        let wanted = wanted(Some("new"), &["L3:0=1"], Monitoring::Off);
        assert_eq!(fake.find(&wanted).unwrap().effect(&wanted), None);
    }

    #[test]
    fn the_mount_is_found_wherever_it_is() {
        let mounts = "proc /proc proc rw 0 0\nresctrl /rdt resctrl rw,relatime 0 0\n";
        assert_eq!(mount_of(mounts), Some("/rdt".into()));
        assert_eq!(mount_of("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn an_effect_of_another_release_is_told() {
        assert_eq!(undo(&serde_json::json!({"warp": 1})).unwrap_err().code, ErrorCode::Teardown);
    }
}
