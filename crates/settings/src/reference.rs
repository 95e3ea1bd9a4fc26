//! The reference of all settings, made from their declarations.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::schema::{FieldSchema, Section as _, SectionSchema, Shape};
use crate::sections::Settings;

/// The content of `config/reference.toml`: every setting with its meaning, permitted values and default.
#[must_use]
pub fn reference_toml() -> String {
    let mut text = String::from(
        "# Every setting of steadfast, with its default. Made from the declarations; do not edit, and do not run from it.\n\
         # NAME stands for a name that you choose. In strategies/NAME.toml the keys of [strategy.NAME] stand at the top of\n\
         # the file, in notify.toml those of [notify].\n",
    );
    text.push_str(&section_toml("", &Settings::schema()));
    text
}

/// A declared table as reference in TOML, for example a strategy kind's parameters under `strategy.NAME.params`.
#[must_use]
pub fn section_toml(header: &str, schema: &SectionSchema) -> String {
    let mut text = String::new();
    let (tables, keys): (Vec<&FieldSchema>, Vec<&FieldSchema>) =
        schema.fields.iter().partition(|field| inner_section(&field.shape).is_some() || is_table(&field.shape));
    if !header.is_empty() {
        let _ = write!(text, "\n{}[{header}]\n", comment(schema.doc));
    }
    for field in keys {
        text.push('\n');
        text.push_str(&comment(field.doc));
        let _ = writeln!(text, "# {}", facts(field));
        let _ = match &field.default {
            Some(Value::Null) => writeln!(text, "# {} =", field.name),
            Some(default) => writeln!(text, "{} = {}", field.name, toml_value(default)),
            None => writeln!(text, "# {} =", field.name),
        };
    }
    for field in tables {
        let name = if header.is_empty() { field.name.to_owned() } else { format!("{header}.{}", field.name) };
        match (&field.shape, inner_section(&field.shape)) {
            (Shape::Section(_), Some(schema)) => text.push_str(&section_toml(&name, &schema())),
            (Shape::Map(_), Some(schema)) => text.push_str(&section_toml(&format!("{name}.NAME"), &schema())),
            (Shape::List(_), Some(schema)) => {
                let inner = section_toml(&name, &schema());
                text.push_str(&inner.replacen(&format!("\n[{name}]\n"), &format!("\n[[{name}]]\n"), 1));
            }
            _ => {
                let _ = write!(text, "\n{}# {}\n[{name}]\n", comment(field.doc), facts(field));
            }
        }
    }
    text
}

/// The content of `docs/settings.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Settings\n\nMade from the declarations in `crates/settings`; do not edit. Order, later wins: built-in defaults, \
         files, `conf.d/*.toml`, environment (`STEADFAST__RISK__MAX_OPEN_ORDERS=10`), flags (`--set \
         risk.max_open_orders=10`).\n",
    );
    page.push_str(&section_markdown("", &Settings::schema()));
    page
}

/// A declared table as reference in Markdown.
#[must_use]
pub fn section_markdown(header: &str, schema: &SectionSchema) -> String {
    let title = if header.is_empty() { "Top level".to_owned() } else { format!("`[{header}]`") };
    let mut page =
        format!("\n## {title}\n\n{}\n\n| key | value | default | meaning |\n|---|---|---|---|\n", schema.doc);
    let mut below = String::new();
    for field in &schema.fields {
        let name = if header.is_empty() { field.name.to_owned() } else { format!("{header}.{}", field.name) };
        if let Some(schema) = inner_section(&field.shape) {
            let name = match field.shape {
                Shape::Map(_) => format!("{name}.NAME"),
                Shape::List(_) => format!("[{name}]"),
                _ => name,
            };
            below.push_str(&section_markdown(&name, &schema()));
            continue;
        }
        let default = match &field.default {
            None => "required".to_owned(),
            Some(Value::Null) => "absent".to_owned(),
            Some(default) => format!("`{}`", toml_value(default)),
        };
        let value = values(field).replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {value} | {default} | {} |", field.name, field.doc);
    }
    page.push_str(&below);
    page
}

/// Writes `reference.toml` into the settings directory.
///
/// # Errors
/// When the file cannot be written.
pub fn write_reference(config_dir: &Path) -> std::io::Result<()> {
    std::fs::write(config_dir.join("reference.toml"), reference_toml())
}

fn inner_section(shape: &Shape) -> Option<fn() -> SectionSchema> {
    match shape {
        Shape::Section(schema) => Some(*schema),
        Shape::Map(inner) | Shape::List(inner) => match **inner {
            Shape::Section(schema) => Some(schema),
            _ => None,
        },
        _ => None,
    }
}

fn is_table(shape: &Shape) -> bool {
    matches!(shape, Shape::Map(_) | Shape::Raw)
}

fn values(field: &FieldSchema) -> String {
    let mut parts = vec![field.shape.words()];
    parts.extend(field.allowed.clone());
    parts.extend(field.unit.map(|unit| format!("in {unit}")));
    parts.join("; ")
}

fn facts(field: &FieldSchema) -> String {
    let when_absent = match &field.default {
        None => "; required",
        Some(_) => "",
    };
    format!("{}{when_absent}", values(field))
}

/// Comment lines of at most 110 columns.
fn comment(doc: &str) -> String {
    const WIDTH_MAX: usize = 110;
    let mut lines = vec![String::from("#")];
    for word in doc.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(toml_value).collect();
            format!("[{}]", elements.join(", "))
        }
        // Text, numbers and booleans look the same in JSON and TOML.
        other => other.to_string(),
    }
}
