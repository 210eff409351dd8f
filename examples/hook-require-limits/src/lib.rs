//! A hook that vetoes every workload whose profile sets no limit on memory or processes.
//!
//! Its option `fields` names others to ask for: `hooks: [{plugin: require-limits, options: {fields: [cpus]}}]`.

use nucleus_abi::{Description, Hook, HookPoint, HookReply, HookRequest, Kind, Result};
use serde_json::Value;

nucleus_abi::export_hook!("require-limits", RequireLimits);

/// The hook.
pub struct RequireLimits;

const ASKED: [&str; 2] = ["memory", "pids"];

impl Hook for RequireLimits {
    fn description(&self) -> Description {
        Description::new(Kind::Hook, "require-limits", env!("CARGO_PKG_VERSION"))
    }

    fn event(&self, request: &HookRequest) -> Result<HookReply> {
        let veto =
            (request.point == HookPoint::Plan).then(|| veto(&request.profile, &request.options)).flatten();
        Ok(HookReply { veto, patches: Vec::new() })
    }
}

/// Why the profile must not start, if so.
fn veto(profile: &Value, options: &Value) -> Option<String> {
    let named = options["fields"].as_array().map(|fields| fields.iter().filter_map(Value::as_str).collect());
    let asked: Vec<&str> = named.unwrap_or_else(|| ASKED.to_vec());
    let missing: Vec<&str> =
        asked.into_iter().filter(|field| profile["resources"][field].is_null()).collect();
    (!missing.is_empty())
        .then(|| format!("the profile sets no `resources.{}`", missing.join("`, no `resources.")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let profile = json!({"resources": {"memory": "64M"}});
        assert_eq!(veto(&profile, &Value::Null).unwrap(), "the profile sets no `resources.pids`");
        assert_eq!(veto(&profile, &json!({"fields": ["memory"]})), None);
    }
}
