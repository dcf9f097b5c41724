//! Validates a value against a JSON schema, for the part of the standard that our description uses.
//! It is stricter than the standard in one point: a property that is not described is an error.

use serde_json::{Map, Value};

/// Validates `value` against `schema`. The error names the position.
pub(super) fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    check_at(root, schema, value, "")
}

fn check_at(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolve(root, schema);
    if let Some(options) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        let errors: Vec<String> = options.iter().filter_map(|option| check_at(root, option, value, at).err()).collect();
        return if errors.len() < options.len() { Ok(()) } else { Err(errors.join(" / ")) };
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    gather(root, schema, &mut properties, &mut required);
    if !properties.is_empty() {
        return check_object(root, &properties, &required, value, at);
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{at}: {value} is not one of {allowed:?}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    if !types.iter().any(|one| is_a(one, value)) {
        return Err(format!("{at}: {value} is no {types:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check_at(root, &schema["items"], item, &format!("{at}[{index}]"))?;
    }
    Ok(())
}

fn check_object(
    root: &Value,
    properties: &Map<String, Value>,
    required: &[String],
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let Some(object) = value.as_object() else { return Err(format!("{at}: {value} is no object")) };
    if let Some(missing) = required.iter().find(|name| !object.contains_key(*name)) {
        return Err(format!("{at}: {missing} is missing"));
    }
    for (name, inner) in object {
        let Some(described) = properties.get(name) else { return Err(format!("{at}.{name} is not described")) };
        check_at(root, described, inner, &format!("{at}.{name}"))?;
    }
    Ok(())
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolve(root, root.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null)),
        None => schema,
    }
}

fn gather(root: &Value, schema: &Value, properties: &mut Map<String, Value>, required: &mut Vec<String>) {
    let schema = resolve(root, schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        gather(root, part, properties, required);
    }
    properties.extend(schema["properties"].as_object().cloned().unwrap_or_default());
    required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
