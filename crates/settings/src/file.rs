//! One TOML file as a layer: its values and where each stands.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml_edit::{Document, Item, TableLike};

use crate::layers::{Layer, Source};
use crate::path::KeyPath;
use crate::problem::Problem;

/// Reads the text of a file whose root stands at `mount` in the tree of settings.
///
/// What can be read is read; the problems are those of syntax and of values that no setting can have.
pub(crate) fn parse(file: &str, text: &str, mount: &KeyPath) -> Result<(Layer, Vec<Problem>), Problem> {
    let document = Document::parse(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        // Only the description: the error's own text would repeat the line, which may hold a secret.
        let message = format!("is not valid TOML: {}", error.message().lines().next().unwrap_or_default());
        let help = "text needs quotes, a table begins with [name]";
        Problem { line: Some(line), column: Some(column), ..Problem::in_file(file, message, help) }
    })?;
    let mut reader = Reader { file, text, places: BTreeMap::new(), problems: Vec::new() };
    let mut tree = Value::Object(reader.table(document.as_table(), mount));
    if !mount.keys().is_empty() {
        reader.places.insert(mount.clone(), (1, 1));
    }
    for key in mount.keys().iter().rev() {
        tree = Value::Object(Map::from_iter([(key.clone(), tree)]));
    }
    Ok((Layer { source: Source::File(file.to_owned()), tree, places: reader.places }, reader.problems))
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    places: BTreeMap<KeyPath, (u32, u32)>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, table: &dyn TableLike, path: &KeyPath) -> Map<String, Value> {
        let mut read = Map::new();
        for (key, item) in table.iter() {
            let place = path.child(key);
            let span = table.get_key_value(key).and_then(|(key, item)| key.span().or_else(|| item.span()));
            self.note(&place, span);
            let is_path_like = path.keys().is_empty() && key.contains(['.', '[', ']']);
            if is_path_like || key.is_empty() {
                self.refuse(&place, "unknown key", "see: config/reference.toml");
            } else if let Some(value) = self.item(item, &place) {
                read.insert(key.to_owned(), value);
            }
        }
        read
    }

    fn item(&mut self, item: &Item, path: &KeyPath) -> Option<Value> {
        match item {
            Item::None => None,
            Item::Value(value) => self.value(value, path),
            Item::Table(table) => Some(Value::Object(self.table(table, path))),
            Item::ArrayOfTables(tables) => {
                let mut read = Vec::with_capacity(tables.len());
                for (index, table) in tables.iter().enumerate() {
                    let place = path.child(index.to_string());
                    self.note(&place, table.span());
                    read.push(Value::Object(self.table(table, &place)));
                }
                Some(Value::Array(read))
            }
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &KeyPath) -> Option<Value> {
        match value {
            toml_edit::Value::String(text) => Some(Value::from(text.value().as_str())),
            toml_edit::Value::Integer(number) => Some(Value::from(*number.value())),
            toml_edit::Value::Float(number) => {
                let read = Number::from_f64(*number.value()).map(Value::Number);
                if read.is_none() {
                    self.refuse(path, "is not a number", "infinity and nan have no place here");
                }
                read
            }
            toml_edit::Value::Boolean(value) => Some(Value::from(*value.value())),
            toml_edit::Value::Datetime(_) => {
                self.refuse(path, "is a date without quotes", "write it in quotes");
                None
            }
            toml_edit::Value::Array(array) => {
                let mut read = Vec::with_capacity(array.len());
                for (index, element) in array.iter().enumerate() {
                    let place = path.child(index.to_string());
                    self.note(&place, element.span());
                    read.extend(self.value(element, &place));
                }
                Some(Value::Array(read))
            }
            toml_edit::Value::InlineTable(table) => Some(Value::Object(self.table(table, path))),
        }
    }

    fn note(&mut self, path: &KeyPath, span: Option<Range<usize>>) {
        if let Some(span) = span {
            self.places.insert(path.clone(), position(self.text, span.start));
        }
    }

    fn refuse(&mut self, path: &KeyPath, message: &str, help: &str) {
        let place = self.places.get(path);
        self.problems.push(Problem {
            file: Some(self.file.to_owned()),
            line: place.map(|(line, _)| *line),
            column: place.map(|(_, column)| *column),
            ..Problem::at(path, message, help)
        });
    }
}

/// Line and column, from 1, of a byte of the text.
fn position(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_and_their_places_are_read() {
        let text = "a = 1\n[b]\nc = \"x\"\n  list = [\"p\",\n    \"q\"]\n[[d]]\ne = { f = true }\n";
        let (layer, problems) = parse("x.toml", text, &KeyPath::root()).expect("valid");
        assert!(problems.is_empty());
        assert_eq!(layer.tree, json!({ "a": 1, "b": { "c": "x", "list": ["p", "q"] }, "d": [{ "e": { "f": true } }] }));
        let place = |path: &[&str]| layer.places.get(&KeyPath::of(path.iter().copied())).copied();
        assert_eq!(place(&["a"]), Some((1, 1)));
        assert_eq!(place(&["b"]), Some((2, 2)));
        assert_eq!(place(&["b", "list"]), Some((4, 3)));
        assert_eq!(place(&["b", "list", "1"]), Some((5, 5)));
        assert_eq!(place(&["d", "0", "e", "f"]), Some((7, 7)));
    }

    #[test]
    fn mounted_file_stands_below_its_mount() {
        let mount = KeyPath::of(["strategy", "btc-grid"]);
        let (layer, _) = parse("strategies/btc-grid.toml", "kind = \"grid\"\n", &mount).expect("valid");
        assert_eq!(layer.tree, json!({ "strategy": { "btc-grid": { "kind": "grid" } } }));
        assert_eq!(layer.places.get(&mount.child("kind")), Some(&(1, 1)));
    }

    #[test]
    fn syntax_error_has_its_place_and_not_the_text_of_the_line() {
        let problem = parse("x.toml", "a = 1\npassphrase = hunter2\n", &KeyPath::root()).expect_err("no quotes");
        assert_eq!((problem.line, problem.column), (Some(2), Some(14)));
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }

    #[test]
    fn dates_infinity_and_path_like_keys_are_refused() {
        let text = "a = 2026-01-01\nb = inf\n\"c.d\" = 1\n";
        let (_, problems) = parse("x.toml", text, &KeyPath::root()).expect("valid TOML");
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [Some(1), Some(2), Some(3)]);
    }
}
