//! Settings from the environment and from `--set`: text, given the type that the declaration asks for.
//!
//! Text that is not of that type stays text, so that reading the settings refuses it with the usual message.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::layers::{Layer, Source};
use crate::path::KeyPath;
use crate::problem::Problem;
use crate::schema::{Section as _, Shape};
use crate::sections::Settings;

/// What environment variables that are settings begin with; one with a single `_` after the name is not one.
const PREFIX: &str = "STEADFAST__";

/// The layers of the environment, one for each variable, in the order of their names.
pub(crate) fn environment(variables: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Layer> {
    let sorted: BTreeMap<&String, &String> = variables.iter().map(|(name, value)| (name, value)).collect();
    let mut layers = Vec::new();
    for (name, text) in sorted {
        let Some(keys) = name.strip_prefix(PREFIX) else { continue };
        let keys: Vec<String> = keys.split("__").map(str::to_lowercase).collect();
        layers.extend(layer(Source::Environment(name.clone()), keys, text, problems));
    }
    layers
}

/// The layers of `--set`, in their order.
pub(crate) fn flags(set: &[String], problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for text in set {
        let Some((path, value)) = text.split_once('=') else {
            let help = "write --set risk.max_open_orders=10";
            problems.push(Problem::in_file("--set", "has no `=` between the setting and its value", help));
            continue;
        };
        let path = path.trim();
        let keys = path.split('.').map(str::to_owned).collect();
        layers.extend(layer(Source::Flag(path.to_owned()), keys, value.trim(), problems));
    }
    layers
}

fn layer(source: Source, keys: Vec<String>, text: &str, problems: &mut Vec<Problem>) -> Option<Layer> {
    if keys.iter().any(String::is_empty) {
        problems.push(Problem::in_file(source.words(), "names no setting", "see: config/reference.toml"));
        return None;
    }
    let (path, value) = match typed(keys, text) {
        Ok(typed) => typed,
        Err(path) => {
            let help = "set the whole list in a file of conf.d";
            problems.push(Problem {
                path,
                ..Problem::in_file(source.words(), "a single element of a list cannot be set from outside a file", help)
            });
            return None;
        }
    };
    let tree = path.keys().iter().rev().fold(value, |inner, key| Value::Object(Map::from_iter([(key.clone(), inner)])));
    Some(Layer { source, tree, places: BTreeMap::new() })
}

/// The path as the declaration spells it and the text as the type it asks for; the path alone when it leads into a
/// list.
fn typed(keys: Vec<String>, text: &str) -> Result<(KeyPath, Value), KeyPath> {
    let mut shape = Some(Shape::Section(Settings::schema));
    let mut path = KeyPath::root();
    for key in keys {
        let (next, key) = match shape {
            Some(Shape::Section(schema)) => {
                let field = schema().fields.into_iter().find(|field| field.name == key);
                (field.map(|field| field.shape), key)
            }
            // Names have `-`, which no shell takes in the name of a variable.
            Some(Shape::Map(inner)) if matches!(*inner, Shape::Section(_)) => (Some(*inner), key.replace('_', "-")),
            Some(Shape::Map(inner)) => (Some(*inner), key),
            Some(Shape::Raw) => (Some(Shape::Raw), key),
            Some(Shape::List(_)) => return Err(path.child(key)),
            _ => (None, key),
        };
        shape = next;
        path = path.child(key);
    }
    let value = shape.map_or_else(|| Value::from(text), |shape| value(&shape, text));
    Ok((path, value))
}

fn value(shape: &Shape, text: &str) -> Value {
    let read = match shape {
        Shape::Bool => boolean(text),
        Shape::Integer => integer(text),
        Shape::Number => integer(text).or_else(|| text.parse().ok().and_then(Number::from_f64).map(Value::Number)),
        Shape::List(inner) => Some(list(inner, text)),
        // The declaration of a raw table is not known here: what can only be a number or a boolean becomes one.
        Shape::Raw => boolean(text).or_else(|| integer(text)),
        Shape::Text(_) | Shape::Words(_) | Shape::Section(_) | Shape::Map(_) => None,
    };
    read.unwrap_or_else(|| Value::from(text))
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::from(true)),
        "false" => Some(Value::from(false)),
        _ => None,
    }
}

fn integer(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_integer { text.parse::<i64>().ok().map(Value::from) } else { None }
}

/// `a,b,c`, with or without square brackets.
fn list(inner: &Shape, text: &str) -> Value {
    let elements = text.trim();
    let elements = elements.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(elements);
    let elements = elements.split(',').map(|element| element.trim().trim_matches('"')).filter(|text| !text.is_empty());
    Value::Array(elements.map(|element| value(inner, element)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(name: &str, text: &str) -> Value {
        let mut problems = Vec::new();
        let mut layers = environment(&[(name.to_owned(), text.to_owned())], &mut problems);
        assert_eq!(problems, []);
        layers.remove(0).tree
    }

    #[test]
    fn text_takes_the_declared_type() {
        assert_eq!(tree("STEADFAST__RISK__MAX_OPEN_ORDERS", "5"), json!({ "risk": { "max_open_orders": 5 } }));
        assert_eq!(tree("STEADFAST__RISK__MAX_OPEN_ORDERS", "3.9"), json!({ "risk": { "max_open_orders": "3.9" } }));
        assert_eq!(tree("STEADFAST__RISK__MAX_ORDER_NOTIONAL", "5"), json!({ "risk": { "max_order_notional": "5" } }));
        assert_eq!(tree("STEADFAST__RISK__MAX_REJECT_RATIO", "0.5"), json!({ "risk": { "max_reject_ratio": 0.5 } }));
        assert_eq!(tree("STEADFAST__METRICS__ENABLED", "yes"), json!({ "metrics": { "enabled": "yes" } }));
        assert_eq!(tree("STEADFAST__METRICS__ENABLED", "false"), json!({ "metrics": { "enabled": false } }));
    }

    #[test]
    fn names_may_be_written_with_underscores() {
        let read = tree("STEADFAST__VENUE__BITGET_MAIN__INSTRUMENTS", "BTCUSDT, ETHUSDT");
        assert_eq!(read, json!({ "venue": { "bitget-main": { "instruments": ["BTCUSDT", "ETHUSDT"] } } }));
        let read = tree("STEADFAST__STRATEGY__BTC_GRID__PARAMS__ORDER_SIZE", "0.0005");
        assert_eq!(read, json!({ "strategy": { "btc-grid": { "params": { "order_size": "0.0005" } } } }));
        let read = tree("STEADFAST__STRATEGY__BTC_GRID__PARAMS__LEVELS", "7");
        assert_eq!(read, json!({ "strategy": { "btc-grid": { "params": { "levels": 7 } } } }));
    }

    #[test]
    fn other_variables_are_not_settings() {
        let others = [("STEADFAST_CONFIG".to_owned(), "x".to_owned()), ("PATH".to_owned(), "x".to_owned())];
        let mut problems = Vec::new();
        assert!(environment(&others, &mut problems).is_empty());
        assert!(problems.is_empty());
    }

    #[test]
    fn malformed_overrides_are_problems() {
        let mut problems = Vec::new();
        let set = ["risk.max_open_orders".to_owned(), "a..b=1".to_owned(), "notify.channel.0.url=x".to_owned()];
        assert!(flags(&set, &mut problems).is_empty());
        assert_eq!(problems.len(), 3);
    }

    #[test]
    fn value_of_a_flag_may_contain_the_sign() {
        let mut problems = Vec::new();
        let layers = flags(&["log.level=info,market-feed=debug".to_owned()], &mut problems);
        let trees: Vec<_> = layers.iter().map(|layer| layer.tree.clone()).collect();
        assert_eq!(trees, [json!({ "log": { "level": "info,market-feed=debug" } })]);
    }
}
