//! New limits in a stored `config.json`.

use nucleus_abi::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

/// The configuration with new values below a field of `linux`: what they do not name stays as it is.
///
/// # Errors
/// `config-invalid` when `linux` is no object.
pub(super) fn with(mut config: Value, field: &str, values: &Value) -> Result<Value> {
    let wrong = || {
        Error::new(ErrorCode::ConfigInvalid, "store the new limits").on("linux").because("it is no object")
    };
    let linux = config.as_object_mut().ok_or_else(wrong)?.entry("linux").or_insert_with(|| Map::new().into());
    let linux = linux.as_object_mut().ok_or_else(wrong)?;
    merge(linux.entry(field).or_insert(Value::Null), values);
    Ok(config)
}

/// Who changes memory alone means memory alone: the specification counts swap and memory together, so that number moves along,
/// and the container may swap as much as before.
pub(super) fn let_swap_follow(config: &Value, resources: &mut Value) {
    let limit = |value: &Value, field: &str| value[field].as_i64().filter(|limit| *limit > 0);
    let stored = &config["linux"]["resources"]["memory"];
    let (Some(before), Some(both)) = (limit(stored, "limit"), limit(stored, "swap")) else { return };
    let Some(memory) = resources.get_mut("memory").filter(|memory| memory["swap"].is_null()) else { return };
    if let Some(now) = limit(memory, "limit") {
        memory["swap"] = now.saturating_add(both.saturating_sub(before)).into();
    }
}

/// Objects are merged, everything else is replaced; null says nothing, as everywhere in the specification.
fn merge(known: &mut Value, new: &Value) {
    match (known, new) {
        (_, Value::Null) => {}
        (Value::Object(known), Value::Object(new)) => {
            for (field, value) in new {
                merge(known.entry(field).or_insert(Value::Null), value);
            }
        }
        (known, new) => *known = new.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_named_stays() {
        let config = json!({"linux": {"resources": {"memory": {"limit": 1, "swap": 2}, "unified": {"a": "1"}}}, "x-own": 1});
        let new = json!({"memory": {"limit": 3, "swap": null}, "pids": {"limit": 4}, "unified": {"b": "2"}});
        let merged = with(config, "resources", &new).unwrap();
        assert_eq!(
            merged,
            json!({"linux": {"resources": {
                "memory": {"limit": 3, "swap": 2}, "pids": {"limit": 4}, "unified": {"a": "1", "b": "2"},
            }}, "x-own": 1})
        );
    }

    #[test]
    fn swap_follows_memory_unless_it_is_named() {
        let config = json!({"linux": {"resources": {"memory": {"limit": 64, "swap": 80}}}});
        for (asked, swap) in [
            (json!({"memory": {"limit": 32}}), json!(48)),
            (json!({"memory": {"limit": 32, "swap": null}}), json!(48)),
            (json!({"memory": {"limit": 32, "swap": 40}}), json!(40)),
            (json!({"memory": {"limit": -1}}), Value::Null),
        ] {
            let mut resources = asked.clone();
            let_swap_follow(&config, &mut resources);
            assert_eq!(resources["memory"]["swap"], swap, "{asked}");
        }
        let mut other = json!({"pids": {"limit": 4}});
        let_swap_follow(&config, &mut other);
        assert_eq!(other, json!({"pids": {"limit": 4}}));
    }

    #[test]
    fn a_configuration_without_limits_gets_them() {
        let new = json!({"pids": {"limit": 4}});
        assert_eq!(with(json!({}), "resources", &new).unwrap(), json!({"linux": {"resources": new}}));
        assert_eq!(with(json!({"linux": 1}), "resources", &new).unwrap_err().code, ErrorCode::ConfigInvalid);
    }
}
