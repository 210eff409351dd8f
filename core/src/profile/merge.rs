//! Layers over layers: maps merge key by key, lists and scalars replace; each value keeps its origin.

use super::origin::Origin;
use super::tree::{Key, Node, Value, pointer_tokens};

/// Lays `over` on `base`.
pub(super) fn overlay(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => {
            base.origin = over.origin;
            for (key, value) in above {
                match below.iter_mut().find(|(known, _)| known.name == key.name) {
                    Some((known, old)) => {
                        *known = key;
                        overlay(old, value);
                    }
                    None => below.push((key, value)),
                }
            }
        }
        (slot, value) => {
            *slot = value;
            base.origin = over.origin;
        }
    }
}

/// The place of a JSON pointer in the tree; maps on the way are made as if `origin` had written them.
pub(super) fn reach<'a>(tree: &'a mut Node, pointer: &str, origin: &Origin) -> &'a mut Node {
    pointer_tokens(pointer).fold(tree, |node, token| child(node, token.into_owned(), origin))
}

fn child<'a>(node: &'a mut Node, name: String, origin: &Origin) -> &'a mut Node {
    if !matches!(node.value, Value::Map(_)) {
        *node = Node::empty_map(origin.clone());
    }
    let Value::Map(entries) = &mut node.value else { unreachable!("made a map above") };
    let index = entries.iter().position(|(key, _)| key.name == name).unwrap_or_else(|| {
        entries.push((Key::new(name, origin.clone()), Node::empty_map(origin.clone())));
        entries.len() - 1
    });
    &mut entries[index].1
}

/// What stands at a JSON pointer.
pub(super) fn find<'a>(tree: &'a Node, pointer: &str) -> Option<&'a Node> {
    let mut tokens = pointer_tokens(pointer);
    tokens.try_fold(tree, |node, token| node.step(&token))
}
