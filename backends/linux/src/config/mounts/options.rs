//! The words among `mounts[].options`, by the table of config.md, "Linux mount options".

use nucleus_sys::mount::{ATIME_MODE, MountAttrFlags, Propagation, Reach};

use super::{Attributes, Datum, Origin};

/// What one word means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// Nothing that this engine would have to do.
    Nothing,
    /// Of the mount itself.
    Attribute(Change),
    /// Of it and all mounts below.
    TreeAttribute(Change),
    Propagation(Propagation, Reach),
    Bind(Reach),
    Remount,
    IdMapped(Reach),
    CopyUp,
    /// Of the file system, whoever mounts it where.
    Superblock,
    /// For the file system itself to read.
    Data,
}

/// A change of one attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Set(MountAttrFlags),
    Clear(MountAttrFlags),
    Atime(MountAttrFlags),
}

/// What the options of one mount come to; of contrary ones the last counts.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) own: Attributes,
    pub(super) tree: Attributes,
    /// In the order in which they are to be applied, as mount(8) does.
    pub(super) propagation: Vec<(Propagation, Reach)>,
    pub(super) bind: Option<Reach>,
    /// Where the word stands.
    pub(super) remount: Option<Origin>,
    /// How far, and where the word stands.
    pub(super) id_mapped: Option<(Reach, Origin)>,
    /// Where the word stands.
    pub(super) copy_up: Option<Origin>,
    pub(super) superblock: Vec<Datum>,
    pub(super) data: Vec<Datum>,
}

impl Options {
    /// Reads the options of `mounts[mount]`.
    pub(super) fn read<'w>(mount: usize, words: impl IntoIterator<Item = &'w str>) -> Self {
        let mut options = Self {
            own: Attributes::NONE,
            tree: Attributes::NONE,
            propagation: Vec::new(),
            bind: None,
            remount: None,
            id_mapped: None,
            copy_up: None,
            superblock: Vec::new(),
            data: Vec::new(),
        };
        for (option, word) in words.into_iter().enumerate() {
            options.take(word, Origin { mount, option });
        }
        options
    }

    fn take(&mut self, word: &str, origin: Origin) {
        match meaning(word) {
            Meaning::Nothing => {}
            Meaning::Attribute(change) => self.own.put(change),
            Meaning::TreeAttribute(change) => self.tree.put(change),
            Meaning::Propagation(propagation, reach) => self.propagation.push((propagation, reach)),
            Meaning::Bind(reach) => self.bind = Some(reach),
            Meaning::Remount => self.remount = Some(origin),
            Meaning::IdMapped(reach) => self.id_mapped = Some((reach, origin)),
            Meaning::CopyUp => self.copy_up = Some(origin),
            Meaning::Superblock => self.superblock.push(Datum::read(word, origin)),
            Meaning::Data => self.data.push(Datum::read(word, origin)),
        }
    }
}

/// All words that this engine knows, and how they are to be understood; others are left to the file system.
const WORDS: &[(&str, Meaning)] = {
    use Meaning::{Bind, CopyUp, IdMapped, Nothing, Propagation as Of, Remount, Superblock};
    use Propagation::{Private, Shared, Slave, Unbindable};
    use Reach::{Mount, Tree};
    &[
        ("defaults", Nothing),
        // The file systems that keep an inode version keep it always, and the mount API has no such flag.
        ("iversion", Nothing),
        ("noiversion", Nothing),
        // What the kernel says about a mount goes into our error, never to its log.
        ("silent", Nothing),
        ("loud", Nothing),
        ("bind", Bind(Mount)),
        ("rbind", Bind(Tree)),
        ("remount", Remount),
        ("private", Of(Private, Mount)),
        ("rprivate", Of(Private, Tree)),
        ("slave", Of(Slave, Mount)),
        ("rslave", Of(Slave, Tree)),
        ("shared", Of(Shared, Mount)),
        ("rshared", Of(Shared, Tree)),
        ("unbindable", Of(Unbindable, Mount)),
        ("runbindable", Of(Unbindable, Tree)),
        ("idmap", IdMapped(Mount)),
        ("ridmap", IdMapped(Tree)),
        ("tmpcopyup", CopyUp),
        ("sync", Superblock),
        ("async", Superblock),
        ("dirsync", Superblock),
        ("mand", Superblock),
        ("nomand", Superblock),
        ("lazytime", Superblock),
        ("nolazytime", Superblock),
    ]
};

/// Each of them also with an `r` before it, for the whole tree.
const ATTRIBUTES: &[(&str, Change)] = {
    use Change::{Atime, Clear, Set};
    // MOUNT_ATTR_RELATIME is 0.
    const RELATIVE: MountAttrFlags = MountAttrFlags::empty();
    &[
        ("ro", Set(MountAttrFlags::MOUNT_ATTR_RDONLY)),
        ("rw", Clear(MountAttrFlags::MOUNT_ATTR_RDONLY)),
        ("nosuid", Set(MountAttrFlags::MOUNT_ATTR_NOSUID)),
        ("suid", Clear(MountAttrFlags::MOUNT_ATTR_NOSUID)),
        ("nodev", Set(MountAttrFlags::MOUNT_ATTR_NODEV)),
        ("dev", Clear(MountAttrFlags::MOUNT_ATTR_NODEV)),
        ("noexec", Set(MountAttrFlags::MOUNT_ATTR_NOEXEC)),
        ("exec", Clear(MountAttrFlags::MOUNT_ATTR_NOEXEC)),
        ("nodiratime", Set(MountAttrFlags::MOUNT_ATTR_NODIRATIME)),
        ("diratime", Clear(MountAttrFlags::MOUNT_ATTR_NODIRATIME)),
        ("nosymfollow", Set(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW)),
        ("symfollow", Clear(MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW)),
        ("noatime", Atime(MountAttrFlags::MOUNT_ATTR_NOATIME)),
        ("atime", Atime(RELATIVE)),
        ("relatime", Atime(RELATIVE)),
        ("norelatime", Atime(MountAttrFlags::MOUNT_ATTR_STRICTATIME)),
        ("strictatime", Atime(MountAttrFlags::MOUNT_ATTR_STRICTATIME)),
        ("nostrictatime", Atime(RELATIVE)),
    ]
};

/// Every word with a meaning of its own, for the `features` document.
pub fn known_options() -> impl Iterator<Item = String> {
    let words = WORDS.iter().map(|(word, _)| (*word).to_owned());
    let attributes = ATTRIBUTES.iter().flat_map(|(word, _)| [(*word).to_owned(), format!("r{word}")]);
    words.chain(attributes)
}

fn meaning(word: &str) -> Meaning {
    let attribute =
        |word: &str| ATTRIBUTES.iter().find(|(known, _)| *known == word).map(|(_, change)| *change);
    if let Some(change) = attribute(word) {
        return Meaning::Attribute(change);
    }
    if let Some(change) = word.strip_prefix('r').and_then(attribute) {
        return Meaning::TreeAttribute(change);
    }
    let known = WORDS.iter().find(|(known, _)| *known == word);
    known.map_or(Meaning::Data, |(_, meaning)| meaning.clone())
}

impl Attributes {
    fn put(&mut self, change: Change) {
        match change {
            Change::Set(flag) => {
                self.set |= flag;
                self.clear -= flag;
            }
            Change::Clear(flag) => {
                self.clear |= flag;
                self.set -= flag;
            }
            Change::Atime(mode) => {
                self.clear |= ATIME_MODE;
                self.set = (self.set - ATIME_MODE) | mode;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of config.md, "Linux mount options", version 1.3.
    const SPECIFIED: [&str; 62] = [
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "iversion",
        "lazytime",
        "loud",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "noiversion",
        "nolazytime",
        "norelatime",
        "nostrictatime",
        "nosuid",
        "nosymfollow",
        "private",
        "ratime",
        "rbind",
        "rdev",
        "rdiratime",
        "relatime",
        "remount",
        "rexec",
        "rnoatime",
        "rnodev",
        "rnodiratime",
        "rnoexec",
        "rnorelatime",
        "rnostrictatime",
        "rnosuid",
        "rnosymfollow",
        "ro",
        "rprivate",
        "rrelatime",
        "rro",
        "rrw",
        "rshared",
        "rslave",
        "rstrictatime",
        "rsuid",
        "rsymfollow",
        "runbindable",
        "rw",
        "shared",
        "silent",
        "slave",
        "strictatime",
        "suid",
        "symfollow",
        "sync",
        "tmpcopyup",
        "unbindable",
        "idmap",
        "ridmap",
        "mand",
        "nomand",
    ];

    fn read(words: &[&str]) -> Options {
        Options::read(7, words.iter().copied())
    }

    #[test]
    fn every_specified_word_is_known_and_no_other() {
        for word in SPECIFIED {
            assert_ne!(meaning(word), Meaning::Data, "{word}");
            assert!(known_options().any(|known| known == word), "{word}");
        }
        for word in ["size=1m", "sparkle", "rsize=1", "", "r", "rnewinstance", "rtmpcopyup", "RO"] {
            assert_eq!(meaning(word), Meaning::Data, "{word}");
        }
    }

    #[test]
    fn attributes_are_set_and_cleared() {
        let own = |word| read(&[word]).own;
        for (word, contrary) in [
            ("ro", "rw"),
            ("nosuid", "suid"),
            ("nodev", "dev"),
            ("noexec", "exec"),
            ("nodiratime", "diratime"),
            ("nosymfollow", "symfollow"),
        ] {
            assert_eq!(own(word).set, own(contrary).clear, "{word}");
            assert!(own(word).clear.is_empty() && own(contrary).set.is_empty() && !own(word).set.is_empty());
            let tree = read(&[&format!("r{word}")]);
            assert_eq!((tree.tree, tree.own), (own(word), Attributes::NONE), "r{word}");
            assert_eq!(read(&[contrary, word]).own, own(word), "the last of two counts");
        }
    }

    #[test]
    fn the_access_time_mode_is_one_value() {
        let own = read(&["noatime", "strictatime"]).own;
        assert_eq!((own.clear, own.set), (ATIME_MODE, MountAttrFlags::MOUNT_ATTR_STRICTATIME));
        for word in ["relatime", "atime", "nostrictatime"] {
            assert_eq!(
                read(&[word]).own,
                Attributes { set: MountAttrFlags::empty(), clear: ATIME_MODE },
                "{word}"
            );
        }
        assert_eq!(read(&["norelatime"]).own, read(&["strictatime"]).own);
        assert_eq!(read(&["rnoatime"]).tree.set, MountAttrFlags::MOUNT_ATTR_NOATIME);
    }

    #[test]
    fn propagation_is_kept_in_order() {
        let wanted = read(&["rslave", "shared"]).propagation;
        assert_eq!(wanted, [(Propagation::Slave, Reach::Tree), (Propagation::Shared, Reach::Mount)]);
        assert_eq!(read(&["runbindable"]).propagation, [(Propagation::Unbindable, Reach::Tree)]);
        assert_eq!(read(&["private"]).propagation, [(Propagation::Private, Reach::Mount)]);
    }

    #[test]
    fn what_the_file_system_reads_remembers_where_it_stood() {
        let options = read(&["ro", "size=64m", "sync", "newinstance"]);
        let origin = |option| Some(Origin { mount: 7, option });
        let datum = |key: &str, value: Option<&str>, option| Datum {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            origin: origin(option),
        };
        assert_eq!(options.data, [datum("size", Some("64m"), 1), datum("newinstance", None, 3)]);
        assert_eq!(options.superblock, [datum("sync", None, 2)]);
        assert_eq!(origin(1).unwrap().to_string(), "mounts[7].options[1]");
    }

    #[test]
    fn the_other_words_say_what_kind_of_mount_it_is() {
        let options = read(&["rbind", "ridmap", "tmpcopyup", "remount"]);
        assert_eq!(options.bind, Some(Reach::Tree));
        assert_eq!(options.id_mapped, Some((Reach::Tree, Origin { mount: 7, option: 1 })));
        assert_eq!(options.copy_up, Some(Origin { mount: 7, option: 2 }));
        assert_eq!(options.remount, Some(Origin { mount: 7, option: 3 }));
        let nothing = read(&["defaults", "silent", "loud", "iversion", "noiversion"]);
        assert!(nothing.own.is_none() && nothing.data.is_empty() && nothing.superblock.is_empty());
    }
}
