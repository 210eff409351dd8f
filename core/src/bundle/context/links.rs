//! Whether the links of a tree stay inside. Pure: it follows them in a list of what the tree holds, each once, for a tree may
//! be made of links that lead through each other.

use std::collections::{BTreeMap, HashMap};

use super::survey::Arrived;
use crate::bundle::tree::TreePath;

/// As many links as the kernel follows in one path, `path_resolution(7)`.
const MOST: usize = 40;

/// The links by which somebody who follows them could leave the tree. One that leads to nothing leads nowhere.
pub(super) fn leading_out(tree: &BTreeMap<TreePath, Arrived>) -> Vec<&TreePath> {
    let mut map = Map::default();
    let links: Vec<_> =
        tree.iter().filter_map(|(path, arrived)| Some((path, map.add(path, arrived)?))).collect();
    links
        .into_iter()
        .filter(|(_, link)| matches!(map.lead(*link), Lead::Out { .. }))
        .map(|(path, _)| path)
        .collect()
}

/// A number of something in a [`Map`].
type Id = usize;

const TOP: Id = 0;

/// A tree, in which each step costs the same however deep it is.
struct Map<'a> {
    nodes: Vec<Node<'a>>,
    children: HashMap<(Id, &'a [u8]), Id>,
    /// How many names were looked at.
    #[cfg(test)]
    steps: usize,
}

struct Node<'a> {
    /// The top has none.
    parent: Option<Id>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    File,
    Directory,
    Link(&'a [u8], Known),
}

/// What is known of a link.
#[derive(Clone, Copy)]
enum Known {
    Nothing,
    /// It is being followed: who meets it again goes in circles.
    Followed,
    All(Lead),
}

/// Where a link leads, and by how many, with itself.
#[derive(Clone, Copy)]
enum Lead {
    Out {
        links: usize,
    },
    Directory {
        at: Id,
        links: usize,
    },
    /// To a file, to nothing, in circles, or by more links than the kernel follows.
    Nowhere,
}

/// A link that is being followed: the names that are left of its target, the directory where they begin, and the links so far.
struct Way<'a> {
    link: Id,
    at: Id,
    rest: &'a [u8],
    links: usize,
}

/// How far a way goes.
enum Step {
    /// To its end.
    Lead(Lead),
    /// To a link of which nothing is known yet.
    Unknown(Id),
}

impl Default for Map<'_> {
    fn default() -> Self {
        Self {
            nodes: vec![Node { parent: None, kind: Kind::Directory }],
            children: HashMap::new(),
            #[cfg(test)]
            steps: 0,
        }
    }
}

impl<'a> Map<'a> {
    /// Adds something, and the directories on the way to it. Returns the number of a link.
    fn add(&mut self, path: &'a TreePath, arrived: &'a Arrived) -> Option<Id> {
        let last = path.names().fold(TOP, |at, name| self.child(at, name));
        self.nodes[last].kind = match arrived {
            Arrived::File => Kind::File,
            Arrived::Directory => Kind::Directory,
            Arrived::Link(target) => Kind::Link(target, Known::Nothing),
        };
        matches!(arrived, Arrived::Link(_)).then_some(last)
    }

    fn child(&mut self, parent: Id, name: &'a [u8]) -> Id {
        let nodes = &mut self.nodes;
        *self.children.entry((parent, name)).or_insert_with(|| {
            nodes.push(Node { parent: Some(parent), kind: Kind::Directory });
            nodes.len() - 1
        })
    }

    /// Follows a link, and first those on its way of which nothing is known. They wait in a list: a chain of them may be longer
    /// than the stack is.
    fn lead(&mut self, link: Id) -> Lead {
        let mut ways = Vec::from_iter(self.begin(link));
        while let Some(mut way) = ways.pop() {
            match self.walk(&mut way) {
                Step::Lead(lead) => self.learn(way.link, Known::All(lead)),
                Step::Unknown(next) => {
                    ways.push(way);
                    ways.extend(self.begin(next));
                }
            }
        }
        match self.nodes[link].kind {
            Kind::Link(_, Known::All(lead)) => lead,
            _ => Lead::Nowhere,
        }
    }

    /// Nothing for what needs not be followed.
    fn begin(&mut self, link: Id) -> Option<Way<'a>> {
        let Node { parent: Some(parent), kind: Kind::Link(target, Known::Nothing) } = self.nodes[link] else {
            return None;
        };
        if target.starts_with(b"/") {
            self.learn(link, Known::All(Lead::Out { links: 1 }));
            return None;
        }
        self.learn(link, Known::Followed);
        Some(Way { link, at: parent, rest: target, links: 1 })
    }

    fn learn(&mut self, link: Id, news: Known) {
        if let Kind::Link(_, known) = &mut self.nodes[link].kind {
            *known = news;
        }
    }

    fn walk(&mut self, way: &mut Way<'a>) -> Step {
        while let Some((name, rest)) = first_name(way.rest) {
            #[cfg(test)]
            {
                self.steps += 1;
            }
            let next = match name {
                b".." => self.nodes[way.at].parent.map(|parent| (parent, way.links)),
                name => match self.enter(way, name) {
                    Ok(next) => Some(next),
                    Err(step) => return step,
                },
            };
            let Some((at, links)) = next else { return Step::Lead(Lead::Out { links: way.links }) };
            *way = Way { at, rest, links, ..*way };
        }
        Step::Lead(Lead::Directory { at: way.at, links: way.links })
    }

    /// The directory that a name leads to, and the links until there; or how the way ends.
    fn enter(&self, way: &Way<'a>, name: &'a [u8]) -> Result<(Id, usize), Step> {
        let nowhere = Step::Lead(Lead::Nowhere);
        let Some(child) = self.children.get(&(way.at, name)) else { return Err(nowhere) };
        match self.nodes[*child].kind {
            Kind::Directory => Ok((*child, way.links)),
            Kind::Link(_, Known::Nothing) => Err(Step::Unknown(*child)),
            Kind::Link(_, Known::All(Lead::Directory { at, links })) if way.links + links <= MOST => {
                Ok((at, way.links + links))
            }
            Kind::Link(_, Known::All(Lead::Out { links })) if way.links + links <= MOST => {
                Err(Step::Lead(Lead::Out { links: way.links + links }))
            }
            Kind::Link(_, _) | Kind::File => Err(nowhere),
        }
    }
}

/// The first name of a path, and what is behind it.
fn first_name(mut path: &[u8]) -> Option<(&[u8], &[u8])> {
    while !path.is_empty() {
        let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
        let (name, rest) = path.split_at(end);
        path = rest.strip_prefix(b"/").unwrap_or(rest);
        if !matches!(name, b"" | b".") {
            return Some((name, path));
        }
    }
    None
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

    /// The target of the link with a number, in a tree of them.
    type Target = fn(usize) -> String;

    /// All links, followed in the order of their names; and how many names were looked at for it.
    fn steps(tree: &BTreeMap<TreePath, Arrived>) -> (usize, usize) {
        let mut map = Map::default();
        let links: Vec<Id> = tree.iter().filter_map(|(path, arrived)| map.add(path, arrived)).collect();
        let out = links.iter().filter(|link| matches!(map.lead(**link), Lead::Out { .. })).count();
        (out, map.steps)
    }

    /// Each link leads through the next one, in one name or a thousand.
    #[test]
    fn each_name_of_a_hostile_tree_is_looked_at_twice_at_most() {
        const LINKS: usize = 20_000;
        let name = |index: usize| format!("d/{index:05}");
        let shapes: [(&str, Target); 4] = [
            ("a chain", |index| format!("{:05}", index + 1)),
            ("all by one", |index| if index == 0 { ".".to_owned() } else { "00000/".repeat(MOST - 1) }),
            ("through one another twice", |index| format!("{0:05}/../d/{0:05}", index + 1)),
            ("a circle", |index| format!("{:05}/x", (index + 1) % LINKS)),
        ];
        for (shape, target) in shapes {
            let path = |text: &str| TreePath::new(text.into()).unwrap();
            let links = (0..LINKS).map(|index| (path(&name(index)), link(&target(index))));
            let mut tree: BTreeMap<_, _> = links.collect();
            tree.insert(path("d"), Arrived::Directory);
            let names: usize = (0..LINKS).map(|index| target(index).split('/').count()).sum();
            let (out, steps) = steps(&tree);
            assert_eq!(out, 0, "{shape}");
            assert!(steps <= 2 * names, "{shape}: {steps} steps for {names} names");
        }
    }

    /// The kernel gives up too: nobody leaves by the link before the fortieth.
    #[test]
    fn of_a_chain_out_as_many_are_named_as_the_kernel_follows() {
        let mut entries: Vec<(String, Arrived)> =
            (0..99).map(|index| (format!("{index:02}"), link(&format!("{:02}", index + 1)))).collect();
        entries.push(("99".to_owned(), link("..")));
        let entries: Vec<_> =
            entries.iter().map(|(name, arrived)| (name.as_str(), arrived.clone())).collect();
        let tree = tree(&entries);
        let found: Vec<String> = leading_out(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found, (60..100).map(|index| index.to_string()).collect::<Vec<_>>());
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
