//! Every setting of the program: its meaning, unit, default and permitted range, declared once with [`section!`], and
//! the loader that merges files, environment and flags.
//!
//! Order: built-in defaults < files < `conf.d/*.toml` < environment (`STEADFAST__RISK__MAX_OPEN_ORDERS`) <
//! `--set risk.max_open_orders=10`.
//!
//! Invariants:
//! - [`load`] gives all problems at once, each with file, line and column;
//! - a key that is not declared is refused, so is a value of another type: nothing is converted or guessed, except that
//!   the environment and `--set`, where everything is text, are typed by the declaration;
//! - a value that looks like a secret is refused and never repeated;
//! - only the root package reads settings; other crates receive validated types of their own.

#[macro_use]
mod macros;

pub mod check;
mod file;
mod forms;
mod layers;
mod load;
mod overrides;
mod path;
mod problem;
mod reference;
mod rules;
mod schema;
mod secret;
mod sections;
mod table;
mod values;

pub use check::Check;
pub use forms::{IpBinding, Percent, RateLimit, Unlock};
pub use load::{LoadRequest, Loaded, Origin, load};
pub use path::KeyPath;
pub use problem::{Problem, Problems, did_you_mean, suggest};
pub use reference::{reference_markdown, reference_toml, section_markdown, section_toml, write_reference};
pub use rules::{is_loopback_address, unknown_instrument};
pub use schema::{FieldSchema, Section, SectionSchema, Setting, Shape, absent, default_of, default_value, empty, read};
pub use sections::*;
pub use table::{TableReader, read_word};
pub use values::Raw;

#[doc(hidden)]
pub use rust_decimal;
#[doc(hidden)]
pub use serde_json;
