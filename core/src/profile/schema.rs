//! The JSON Schema of a profile file, generated from the types.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::model::Profile;

/// The JSON Schema of a profile file (draft 2020-12), for editors and for `nucleus profile schema`.
pub fn schema() -> Json {
    let mut schema = partial();
    schema["required"] = json!(["apiVersion"]);
    schema
}

/// The schema of one layer (a file, or the flags), which may leave everything to others.
pub(super) fn partial() -> Json {
    let mut schema = complete();
    let mut reached = Vec::new();
    make_partial(&mut schema, &mut reached);
    while let Some(name) = reached.pop() {
        if let Some(definition) = schema["$defs"].get_mut(&name) {
            let mut definition = std::mem::take(definition);
            make_partial(&mut definition, &mut reached);
            schema["$defs"][&name] = definition;
        }
    }
    schema
}

/// The schema of the effective profile, in which nothing that a type needs may be missing.
pub(super) fn complete() -> Json {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Profile>().to_value();
    forbid_null(&mut schema);
    schema["title"] = json!("nucleus profile");
    let mut overrides = schema["properties"].clone();
    remove(&mut overrides, "apiVersion");
    let description =
        "Named workloads; each overrides the rest of the profile. `run --workload NAME` picks one.";
    schema["properties"]["extends"] = json!({
        "type": "string",
        "minLength": 1,
        "description": "The file name of one parent, relative to this file. What this file says wins.",
    });
    schema["properties"]["workloads"] = json!({
        "type": "object",
        "description": description,
        "additionalProperties": { "type": "object", "properties": overrides, "additionalProperties": false },
    });
    schema
}

/// Optional fields may be left out, not null: a key without a value is a mistake.
fn forbid_null(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(forbid_null),
        Json::Object(fields) => {
            if let Some(Json::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
            }
            if let Some(Json::Array(forms)) = fields.get_mut("anyOf") {
                forms.retain(|form| form.get("type") != Some(&json!("null")));
            }
            if fields.get("default") == Some(&Json::Null) {
                fields.remove("default");
            }
            unwrap_single(fields);
            fields.values_mut().for_each(forbid_null);
        }
        _ => {}
    }
}

/// `type: [string]` and `anyOf: [x]`, which are left over without their null, are `type: string` and `x`.
fn unwrap_single(fields: &mut Map<String, Json>) {
    if let Some(Json::Array(types)) = fields.get("type")
        && let [only] = types.as_slice()
    {
        let only = only.clone();
        fields.insert("type".into(), only);
    }
    if let Some(Json::Array(forms)) = fields.get("anyOf")
        && let [Json::Object(only)] = forms.as_slice()
    {
        let only = only.clone();
        fields.remove("anyOf");
        for (key, value) in only {
            fields.entry(key).or_insert(value);
        }
    }
}

/// Drops `required` wherever another layer may say the rest; inside lists, which replace as a whole, it stays.
fn make_partial(schema: &mut Json, reached: &mut Vec<String>) {
    let Json::Object(fields) = schema else { return };
    fields.remove("required");
    if let Some(name) =
        fields.get("$ref").and_then(Json::as_str).and_then(|name| name.strip_prefix("#/$defs/"))
    {
        reached.push(name.to_owned());
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Json::Array(forms)) = fields.get_mut(keyword) {
            for form in forms {
                make_partial(form, reached);
            }
        }
    }
    if let Some(Json::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(|property| make_partial(property, reached));
    }
    if let Some(values) = fields.get_mut("additionalProperties") {
        make_partial(values, reached);
    }
}

fn remove(schema: &mut Json, key: &str) {
    if let Json::Object(fields) = schema {
        fields.remove(key);
    }
}
