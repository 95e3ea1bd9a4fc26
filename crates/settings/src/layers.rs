//! The layers of settings, lowest first, and their merging.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::path::KeyPath;
use crate::problem::{Problem, Problems};

/// Where a layer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file, as the user would open it.
    File(String),
    /// An environment variable, by name.
    Environment(String),
    /// A `--set` of this path.
    Flag(String),
}

impl Source {
    /// The source as a message names it. Never with a value.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::File(file) => file.clone(),
            Self::Environment(name) => format!("environment variable {name}"),
            Self::Flag(path) => format!("--set {path}"),
        }
    }
}

/// One source's values and, for a file, where each stands.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) source: Source,
    /// From the root of the settings.
    pub(crate) tree: Value,
    /// Line and column, from 1.
    pub(crate) places: BTreeMap<KeyPath, (u32, u32)>,
}

impl Layer {
    pub(crate) fn get(&self, path: &KeyPath) -> Option<&Value> {
        lookup(&self.tree, path)
    }

    /// Every value that is no table, lists whole.
    pub(crate) fn leaves(&self) -> Vec<(KeyPath, &Value)> {
        let mut leaves = Vec::new();
        walk(&self.tree, &KeyPath::root(), false, &mut leaves);
        leaves
    }

    /// Every value that is neither table nor list.
    pub(crate) fn scalars(&self) -> Vec<(KeyPath, &Value)> {
        let mut scalars = Vec::new();
        walk(&self.tree, &KeyPath::root(), true, &mut scalars);
        scalars
    }
}

fn walk<'a>(value: &'a Value, path: &KeyPath, into_lists: bool, found: &mut Vec<(KeyPath, &'a Value)>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                walk(value, &path.child(key.as_str()), into_lists, found);
            }
        }
        Value::Array(elements) if into_lists => {
            for (index, value) in elements.iter().enumerate() {
                walk(value, &path.child(index.to_string()), into_lists, found);
            }
        }
        _ => found.push((path.clone(), value)),
    }
}

/// The value at a path.
pub(crate) fn lookup<'a>(tree: &'a Value, path: &KeyPath) -> Option<&'a Value> {
    path.keys().iter().try_fold(tree, |value, key| match value {
        Value::Object(keys) => keys.get(key),
        Value::Array(elements) => elements.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Puts the file, line and column on a problem: those of its setting in the last layer that has it, otherwise of the
/// nearest table above.
pub(crate) fn locate(layers: &[Layer], mut problem: Problem) -> Problem {
    if problem.file.is_some() {
        return problem;
    }
    let mut path = Some(problem.path.clone());
    while let Some(current) = path.filter(|path| !path.keys().is_empty()) {
        if let Some(layer) = layers.iter().rev().find(|layer| layer.get(&current).is_some()) {
            problem.file = Some(layer.source.words());
            if let Some((line, column)) = layer.places.get(&current) {
                problem.line = Some(*line);
                problem.column = Some(*column);
                return problem;
            }
            if !matches!(layer.source, Source::File(_)) {
                return problem;
            }
            // A table without a header of its own: its first key says where it is.
            let first =
                layer.places.iter().filter(|(path, _)| path.starts_with(&current)).map(|(_, place)| *place).min();
            problem.line = first.map(|(line, _)| line);
            problem.column = first.map(|(_, column)| column);
            return problem;
        }
        path = current.parent();
    }
    problem
}

/// Merges the layers: tables key by key, everything else is replaced by the later layer.
pub(crate) fn merge(layers: &[Layer]) -> Result<Value, Problems> {
    let refuse = |error: config::ConfigError| {
        let message = format!("cannot be merged: {error}");
        Problems(vec![Problem::at(&KeyPath::root(), message, "please report this")])
    };
    let mut builder = config::Config::builder();
    for layer in layers {
        builder = builder.add_source(Merged(layer.tree.clone()));
    }
    let merged = builder.build().map_err(refuse)?;
    merged.try_deserialize::<Value>().map_err(refuse)
}

/// One layer as a source of `config`, with the types that the declaration gave it.
#[derive(Clone, Debug)]
struct Merged(Value);

impl config::Source for Merged {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        let empty = Map::new();
        let keys = self.0.as_object().unwrap_or(&empty);
        Ok(keys.iter().map(|(key, value)| (key.clone(), typed(value))).collect())
    }
}

fn typed(value: &Value) -> config::Value {
    let kind = match value {
        Value::Null => config::ValueKind::Nil,
        Value::Bool(value) => config::ValueKind::Boolean(*value),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| config::ValueKind::Float(number.as_f64().unwrap_or_default()), config::ValueKind::I64),
        Value::String(text) => config::ValueKind::String(text.clone()),
        Value::Array(elements) => config::ValueKind::Array(elements.iter().map(typed).collect()),
        Value::Object(keys) => {
            config::ValueKind::Table(keys.iter().map(|(key, value)| (key.clone(), typed(value))).collect())
        }
    };
    config::Value::new(None, kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layer(tree: Value) -> Layer {
        Layer { source: Source::Flag("test".to_owned()), tree, places: BTreeMap::new() }
    }

    #[test]
    fn tables_merge_and_lists_are_replaced() {
        let merged = merge(&[
            layer(json!({ "risk": { "a": 1, "b": { "c": true } }, "list": [1, 2, 3], "venue": { "bitget-main": {} } })),
            layer(json!({ "risk": { "a": 2, "b": { "d": "x" } }, "list": [9] })),
        ]);
        let expected = json!({
            "risk": { "a": 2, "b": { "c": true, "d": "x" } },
            "list": [9],
            "venue": { "bitget-main": {} },
        });
        assert_eq!(merged, Ok(expected));
    }

    #[test]
    fn types_survive_the_merge() {
        let tree = json!({ "int": 5, "float": 0.25, "whole_float": 2.0, "text": "5", "yes": "yes", "bool": true });
        assert_eq!(merge(&[layer(tree.clone())]), Ok(tree));
    }
}
