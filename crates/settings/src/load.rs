//! From a directory, the environment and flags to settings, or to everything that is wrong with them.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use crate::check::is_name;
use crate::file;
use crate::layers::{self, Layer, Source};
use crate::overrides;
use crate::path::KeyPath;
use crate::problem::{Problem, Problems};
use crate::rules;
use crate::schema::Setting as _;
use crate::secret;
use crate::sections::Settings;

/// The most files that are read; more means that the directory is not one of settings.
const FILES_MAX: usize = 500;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What to load.
#[derive(Clone, Default)]
pub struct LoadRequest {
    /// The directory with `steadfast.toml`.
    pub config_dir: PathBuf,
    /// The environment; variables that do not begin with `STEADFAST__` are ignored.
    pub env: Vec<(String, String)>,
    /// The `--set` flags, each `a.b=c`, in their order.
    pub set: Vec<String>,
}

impl fmt::Debug for LoadRequest {
    /// Without values: the environment may hold anything.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LoadRequest").field("config_dir", &self.config_dir).finish_non_exhaustive()
    }
}

/// Where a setting's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is not set anywhere.
    Default,
    /// A file.
    File {
        /// As the user would open it.
        file: String,
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A `--set` flag.
    Flag,
}

/// Settings, and where each comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    layers: Vec<Layer>,
}

impl Loaded {
    /// File, line and column of a setting; `None` when no file has the deciding value.
    #[must_use]
    pub fn locate(&self, path: &KeyPath) -> Option<(String, u32, u32)> {
        match self.origin(path) {
            Origin::File { file, line, column } => Some((file, line, column)),
            _ => None,
        }
    }

    /// Where the deciding value of a setting comes from.
    #[must_use]
    pub fn origin(&self, path: &KeyPath) -> Origin {
        let Some(layer) = self.layers.iter().rev().find(|layer| layer.get(path).is_some()) else {
            return Origin::Default;
        };
        match &layer.source {
            Source::File(file) => {
                let (line, column) = layer.places.get(path).copied().unwrap_or((1, 1));
                Origin::File { file: file.clone(), line, column }
            }
            Source::Environment(name) => Origin::Environment(name.clone()),
            Source::Flag(_) => Origin::Flag,
        }
    }

    /// A problem that is found later, for example an instrument that the venue does not know, with file and line.
    pub fn problem(&self, path: &KeyPath, message: impl Into<String>, help: impl Into<String>) -> Problem {
        layers::locate(&self.layers, Problem::at(path, message, help))
    }

    /// Problems of a table that another crate reads, with file and line.
    #[must_use]
    pub fn located(&self, problems: Problems) -> Problems {
        Problems(problems.0.into_iter().map(|problem| layers::locate(&self.layers, problem)).collect())
    }
}

/// Loads the settings.
///
/// # Errors
/// Everything that is wrong, in the order of files and lines. Nothing is applied in part.
pub fn load(request: &LoadRequest) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut layers = read_files(&request.config_dir, &mut problems);
    let all_files_read = problems.is_empty();
    layers.extend(overrides::environment(&request.env, &mut problems));
    layers.extend(overrides::flags(&request.set, &mut problems));

    let tree = layers::merge(&layers)?;
    let settings = Settings::read(&tree, &KeyPath::root(), &mut problems);
    rules::check(&tree, all_files_read, &mut problems);
    refuse_secrets(&layers, &mut problems);

    match settings {
        Some(settings) if problems.is_empty() => Ok(Loaded { settings, layers }),
        _ => {
            let mut problems: Vec<Problem> =
                problems.into_iter().map(|problem| layers::locate(&layers, problem)).collect();
            problems.sort_by(|left, right| {
                let place = |problem: &Problem| {
                    (problem.file.is_none(), problem.file.clone(), problem.line, problem.column, problem.path.clone())
                };
                place(left).cmp(&place(right))
            });
            problems.dedup();
            Err(Problems(problems))
        }
    }
}

fn read_files(directory: &Path, problems: &mut Vec<Problem>) -> Vec<Layer> {
    if !directory.is_dir() {
        let help = "`steadfast init` makes one; `--config DIR` names another";
        problems.push(Problem::in_file(directory.display().to_string(), "there is no settings directory here", help));
        return Vec::new();
    }
    let mut layers = Vec::new();
    for (name, mount) in [("steadfast.toml", &[][..]), ("risk.toml", &[][..]), ("notify.toml", &["notify"][..])] {
        let file = directory.join(name);
        if file.exists() {
            layers.extend(read_file(&file, &KeyPath::of(mount.iter().copied()), problems));
        }
    }
    for file in toml_files(&directory.join("venues"), problems) {
        layers.extend(read_file(&file, &KeyPath::root(), problems));
    }
    for file in toml_files(&directory.join("strategies"), problems) {
        let id = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if is_name(id) {
            layers.extend(read_file(&file, &KeyPath::of(["strategy", id]), problems));
        } else {
            let message = "the file's name is the strategy's id, and this is not 1 to 32 characters a-z, 0-9 and `-`";
            problems.push(Problem::in_file(file.display().to_string(), message, "rename the file"));
        }
    }
    refuse_repetition(&layers, problems);
    for file in toml_files(&directory.join("conf.d"), problems) {
        layers.extend(read_file(&file, &KeyPath::root(), problems));
    }
    layers
}

/// The TOML files of a directory by name; none when there is no such directory.
fn toml_files(directory: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if !directory.exists() {
        return Vec::new();
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("cannot be read: {error}");
            problems.push(Problem::in_file(directory.display().to_string(), message, ""));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_none_or(|name| !name.starts_with('.')))
        .take(FILES_MAX + 1)
        .collect();
    files.sort();
    if files.len() > FILES_MAX {
        let message = format!("holds more than {FILES_MAX} files");
        problems.push(Problem::in_file(directory.display().to_string(), message, "is this a settings directory?"));
    }
    files
}

fn read_file(path: &Path, mount: &KeyPath, problems: &mut Vec<Problem>) -> Option<Layer> {
    let name = path.display().to_string();
    let size = fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default();
    if size > FILE_BYTES_MAX {
        let message = format!("is larger than {FILE_BYTES_MAX} bytes");
        problems.push(Problem::in_file(name, message, "is this a settings file?"));
        return None;
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::in_file(name, format!("cannot be read: {error}"), ""));
            return None;
        }
    };
    match file::parse(&name, &text, mount) {
        Ok((layer, found)) => {
            problems.extend(found);
            Some(layer)
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Refuses a setting that stands in two files, of which one would silently win. `conf.d` is for that.
fn refuse_repetition(layers: &[Layer], problems: &mut Vec<Problem>) {
    for (index, layer) in layers.iter().enumerate() {
        for (path, _) in layer.leaves() {
            let earlier = layers.iter().take(index).find(|earlier| earlier.get(&path).is_some());
            if let Some(earlier) = earlier {
                let line = earlier.places.get(&path).map(|(line, _)| format!(":{line}")).unwrap_or_default();
                let place = layer.places.get(&path);
                problems.push(Problem {
                    file: Some(layer.source.words()),
                    line: place.map(|(line, _)| *line),
                    column: place.map(|(_, column)| *column),
                    ..Problem::at(
                        &path,
                        format!("is already set in {}{line}", earlier.source.words()),
                        "delete one of them; a file in conf.d may set it again",
                    )
                });
            }
        }
    }
}

/// Refuses what looks like a secret, in any layer; other problems of the same settings are not told.
fn refuse_secrets(layers: &[Layer], problems: &mut Vec<Problem>) {
    const HELP: &str = "delete it here, then store it encrypted with `steadfast keys add ALIAS --venue VENUE`\nif \
                        anybody else could read it, make a new key on the exchange and delete the old one";
    for layer in layers {
        for (path, value) in layer.scalars() {
            let is_key = |key: &&String| !key.bytes().all(|byte| byte.is_ascii_digit());
            let key_asks = path.keys().iter().rfind(is_key).is_some_and(|key| secret::names_a_secret(key));
            let text = value.as_str();
            let message = if key_asks && (value.is_number() || text.is_some_and(|text| !text.is_empty())) {
                "no secret has a place in the settings"
            } else if text.is_some_and(secret::looks_random) {
                "looks like a secret, and no secret has a place in the settings"
            } else {
                continue;
            };
            let is_address = matches!(path.last(), Some("url"));
            let help = if is_address { "put the address into a file of mode 0600 and set `url_file`" } else { HELP };
            problems.retain(|problem| problem.path != path);
            let place = layer.places.get(&path);
            problems.push(Problem {
                file: Some(layer.source.words()),
                line: place.map(|(line, _)| *line),
                column: place.map(|(_, column)| *column),
                ..Problem::at(&path, message, help)
            });
        }
    }
}
