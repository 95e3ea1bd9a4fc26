//! What a declaration says about itself: the source of the reference and of the types of overrides.

use serde_json::Value;

use crate::path::KeyPath;
use crate::problem::{Problem, Problems};

/// What may be written for a setting.
#[derive(Clone, Debug)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A number with or without decimals.
    Number,
    /// Text; the words say of what form.
    Text(&'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// A list.
    List(Box<Shape>),
    /// A table with known keys.
    Section(fn() -> SectionSchema),
    /// A table whose keys the user chooses.
    Map(Box<Shape>),
    /// A table that a higher layer declares.
    Raw,
}

impl Shape {
    /// The shape in words, for a message: "must be ...".
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Text(form) => (*form).to_owned(),
            Self::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                words.join(" or ")
            }
            Self::List(inner) => format!("a list of {}", inner.words()),
            Self::Section(_) | Self::Map(_) | Self::Raw => "a table".to_owned(),
        }
    }
}

/// One declared setting.
#[derive(Clone, Debug)]
pub struct FieldSchema {
    /// The key.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// The unit, where the shape does not say it.
    pub unit: Option<&'static str>,
    /// The value when the key is absent; `None` when the key is required, `Null` when absence has a meaning.
    pub default: Option<Value>,
    /// The permitted range, in words.
    pub allowed: Option<String>,
    /// What may be written.
    pub shape: Shape,
}

/// One declared table.
#[derive(Clone, Debug)]
pub struct SectionSchema {
    /// What the table is about.
    pub doc: &'static str,
    /// Its settings, in the order of declaration.
    pub fields: Vec<FieldSchema>,
}

/// A table that was declared with [`section!`](crate::section).
pub trait Section: Setting {
    /// What the declaration says.
    fn schema() -> SectionSchema;
}

/// A type that a setting may have.
pub trait Setting: Sized {
    /// What may be written for it.
    fn shape() -> Shape;

    /// Reads the value strictly; `None` means that problems were added.
    fn read(value: &Value, place: &KeyPath, problems: &mut Vec<Problem>) -> Option<Self>;

    /// The value as it would be written in a file.
    fn write(&self) -> Value;
}

/// Reads one table, for example the parameters of a strategy kind, which stands at `place` in the tree.
///
/// # Errors
/// All problems of the table, not yet located; `Loaded::located` adds the file and line.
pub fn read<T: Setting>(value: &Value, place: &KeyPath) -> Result<T, Problems> {
    let mut problems = Vec::new();
    match T::read(value, place, &mut problems) {
        Some(read) if problems.is_empty() => Ok(read),
        _ => Err(Problems(problems)),
    }
}

/// The value of a section of which nothing is written.
#[must_use]
pub fn default_of<T: Setting>() -> T {
    match read(&Value::Object(serde_json::Map::new()), &KeyPath::root()) {
        Ok(value) => value,
        Err(problems) => unreachable!("a declared default is valid: {problems}"),
    }
}

/// A declared default as a value.
pub fn default_value(value: impl Into<Value>) -> Value {
    value.into()
}

/// The default of a setting whose absence has a meaning.
#[must_use]
pub fn absent() -> Value {
    Value::Null
}

/// The default of a table: every key of it has its own default.
#[must_use]
pub fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}
