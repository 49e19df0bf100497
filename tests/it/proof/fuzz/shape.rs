//! From the shape of a request to values that fit it, about what exists on the server.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::contents::contents;
use super::pool::{Kind, Pool};
use super::rubbish;
use crate::proof::account::PASSWORD;

/// How deep generated values go; what is below is left out.
const DEPTH_MAX: usize = 7;
/// How often an optional field is there.
const OPTIONAL: f64 = 0.4;

/// Values of this shape. `name` is what the field or the parameter is called.
pub fn value(schema: &Value, name: &str, pool: &Arc<Pool>) -> BoxedStrategy<Value> {
    of(schema, name, pool, 0)
}

fn of(schema: &Value, name: &str, pool: &Arc<Pool>, depth: usize) -> BoxedStrategy<Value> {
    if name == "auth" {
        return select(proofs(pool)).boxed();
    }
    if depth > DEPTH_MAX {
        return Just(Value::Null).boxed();
    }
    for keyword in ["oneOf", "anyOf"] {
        if let Some(shapes) = schema[keyword].as_array() {
            let each = shapes.iter().map(|shape| of(shape, name, pool, depth + 1));
            return proptest::strategy::Union::new(each.collect::<Vec<_>>()).boxed();
        }
    }
    if let Some(shapes) = schema["allOf"].as_array() {
        return object(&merged(schema, shapes), pool, depth);
    }
    if let Some(values) = schema["enum"].as_array() {
        return select(values.clone()).boxed();
    }
    let format = schema["format"].as_str().unwrap_or_default();
    let known = pool.known(name, format);
    let kind = match &schema["type"] {
        Value::Array(kinds) => {
            let each = kinds.iter().map(|kind| {
                let mut one = schema.clone();
                one["type"] = kind.clone();
                of(&one, name, pool, depth + 1)
            });
            return proptest::strategy::Union::new(each.collect::<Vec<_>>()).boxed();
        }
        kind => kind.as_str().unwrap_or_default(),
    };
    match kind {
        "object" => object(schema, pool, depth),
        "array" => {
            let item = of(&schema["items"], name, pool, depth + 1);
            prop::collection::vec(item, 0..4)
                .prop_map(Value::from)
                .boxed()
        }
        "string" | "integer" | "number" if !known.is_empty() => select(known).boxed(),
        "string" => string(),
        "integer" | "number" => select(numbers()).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        _ => select(contents(pool)).boxed(),
    }
}

fn string() -> BoxedStrategy<Value> {
    let usual = select(vec![
        "x",
        "hello",
        "m.text",
        "signed_curve25519:AAAAAQ",
        "Zm9v",
        "👍",
    ]);
    prop_oneof![3 => usual.prop_map(Value::from), 1 => rubbish::text().prop_map(Value::from)]
        .boxed()
}

fn numbers() -> Vec<Value> {
    let numbers = [0, 1, 2, 10, 100, 1_000, -1, i64::MAX, 9_007_199_254_740_991];
    numbers.map(Value::from).to_vec()
}

/// All shapes of an `allOf` as one.
fn merged(schema: &Value, shapes: &[Value]) -> Value {
    let mut all = json!({ "properties": {}, "required": [] });
    for shape in shapes.iter().chain([schema]) {
        let shape = match shape["allOf"].as_array() {
            Some(inner) if shape != schema => merged(shape, inner),
            _ => shape.clone(),
        };
        for (name, inner) in shape["properties"].as_object().into_iter().flatten() {
            all["properties"][name] = inner.clone();
        }
        if let (Some(all), Some(more)) =
            (all["required"].as_array_mut(), shape["required"].as_array())
        {
            all.extend(more.iter().cloned());
        }
        for keyword in ["additionalProperties", "patternProperties"] {
            if shape[keyword].is_object() {
                all[keyword] = shape[keyword].clone();
            }
        }
    }
    all
}

fn object(schema: &Value, pool: &Arc<Pool>, depth: usize) -> BoxedStrategy<Value> {
    let mut fields: Vec<BoxedStrategy<Vec<(String, Value)>>> = Vec::new();
    let required = schema["required"].as_array();
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let must = required.is_some_and(|required| required.iter().any(|one| one == name));
        let inner = of(inner, name, pool, depth + 1);
        let field = if must {
            inner.prop_map(Some).boxed()
        } else {
            prop::option::weighted(OPTIONAL, inner).boxed()
        };
        let name = name.clone();
        let named = move |value: Option<Value>| value.map(|value| (name.clone(), value));
        fields.push(
            field
                .prop_map(move |value| named(value).into_iter().collect())
                .boxed(),
        );
    }
    for (pattern, inner) in schema["patternProperties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let kind = if pattern == "^!" {
            Kind::Room
        } else {
            Kind::User
        };
        fields.push(entries(&pool.of(kind), inner, pool, depth));
    }
    if schema["additionalProperties"].is_object() {
        let names = [
            pool.of(Kind::Device),
            pool.known("type", ""),
            pool.of(Kind::User),
        ]
        .concat();
        fields.push(entries(
            &names,
            &schema["additionalProperties"],
            pool,
            depth,
        ));
    }
    if fields.is_empty() {
        return prop_oneof![6 => select(contents(pool)), 1 => rubbish::json()].boxed();
    }
    let object = |fields: Vec<Vec<(String, Value)>>| {
        Value::Object(fields.into_iter().flatten().collect::<Map<_, _>>())
    };
    fields.prop_map(object).boxed()
}

fn entries(
    names: &[Value],
    inner: &Value,
    pool: &Arc<Pool>,
    depth: usize,
) -> BoxedStrategy<Vec<(String, Value)>> {
    let names: Vec<String> = names
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .chain(["x".to_owned()])
        .collect();
    let name = prop_oneof![8 => select(names), 1 => rubbish::text()];
    prop::collection::vec((name, of(inner, "", pool, depth + 1)), 0..3).boxed()
}

/// How people prove who they are, and how they do not.
fn proofs(pool: &Pool) -> Vec<Value> {
    let (user, session) = (pool.any(Kind::User), pool.any(Kind::Session));
    let identifier = json!({ "type": "m.id.user", "user": user });
    vec![
        json!({ "type": "m.login.dummy" }),
        json!({ "type": "m.login.dummy", "session": session }),
        json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD }),
        json!({
            "type": "m.login.password", "identifier": identifier, "password": "wrong", "session": session,
        }),
        json!({ "type": "m.login.registration_token", "token": "x", "session": session }),
        json!({ "session": "no such session" }),
        Value::Null,
    ]
}
