//! New limits in a stored `config.json`.

use nucleus_abi::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

/// The configuration with new `linux.resources`: what they do not name stays as it is.
///
/// # Errors
/// `config-invalid` when `linux` is no object.
pub(super) fn with_resources(mut config: Value, resources: &Value) -> Result<Value> {
    let wrong = || {
        Error::new(ErrorCode::ConfigInvalid, "store the new limits").on("linux").because("it is no object")
    };
    let linux = config.as_object_mut().ok_or_else(wrong)?.entry("linux").or_insert_with(|| Map::new().into());
    let linux = linux.as_object_mut().ok_or_else(wrong)?;
    merge(linux.entry("resources").or_insert(Value::Null), resources);
    Ok(config)
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
        let merged = with_resources(config, &new).unwrap();
        assert_eq!(
            merged,
            json!({"linux": {"resources": {
                "memory": {"limit": 3, "swap": 2}, "pids": {"limit": 4}, "unified": {"a": "1", "b": "2"},
            }}, "x-own": 1})
        );
    }

    #[test]
    fn a_configuration_without_limits_gets_them() {
        let new = json!({"pids": {"limit": 4}});
        assert_eq!(with_resources(json!({}), &new).unwrap(), json!({"linux": {"resources": new}}));
        assert_eq!(with_resources(json!({"linux": 1}), &new).unwrap_err().code, ErrorCode::ConfigInvalid);
    }
}
