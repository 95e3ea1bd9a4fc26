//! What the rules look at: manifests, sources, and the resolved packages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, TableLike};

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Part of the crate, or of its build script.
    Shipped,
    /// Only for tests and benches.
    Test,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) layer: Option<i64>,
    /// Whether it takes the workspace's lints.
    pub(crate) linted: bool,
    /// Package names, whatever they are called in the code.
    pub(crate) dependencies: Vec<(String, Purpose)>,
}

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) sources: Vec<Source>,
    /// Dependencies of each package outside the workspace, all versions of one name together.
    pub(crate) locked: BTreeMap<String, Vec<String>>,
}

impl Workspace {
    /// Reads the workspace that this test belongs to.
    pub(crate) fn read() -> Result<Self, String> {
        let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").map_err(|error| error.to_string())?);
        let mut folders = vec![String::new(), "xtask".to_owned()];
        for entry in std::fs::read_dir(root.join("crates")).map_err(|error| error.to_string())? {
            let name = entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
            if root.join("crates").join(&name).join("Cargo.toml").exists() {
                folders.push(format!("crates/{name}"));
            }
        }
        folders.sort();
        let mut manifests = Vec::new();
        for folder in folders {
            let text = text(&root.join(&folder).join("Cargo.toml"))?;
            manifests.push((folder, text));
        }
        let mut sources = Vec::new();
        for folder in ["crates", "tests", "benches", "xtask"] {
            collect(&root, Path::new(folder), &mut sources)?;
        }
        Self::parse(manifests, sources, &text(&root.join("Cargo.lock"))?)
    }

    /// Makes the model from texts: manifests by folder, sources by path, the lock file.
    pub(crate) fn parse(
        manifests: Vec<(String, String)>,
        sources: Vec<(String, String)>,
        lock: &str,
    ) -> Result<Self, String> {
        let packages = manifests.iter().map(|(folder, text)| package(folder, text)).collect::<Result<Vec<_>, _>>()?;
        let mut locked = BTreeMap::<String, Vec<String>>::new();
        for table in document(lock)?.get("package").and_then(Item::as_array_of_tables).into_iter().flatten() {
            let name = string(table.get("name")).ok_or("a locked package has no name")?;
            let listed = table.get("dependencies").and_then(Item::as_array).into_iter().flatten();
            // An entry is `name`, `name version` or `name version (source)`.
            let names = listed.filter_map(|entry| entry.as_str()?.split(' ').next().map(str::to_owned));
            locked.entry(name).or_default().extend(names);
        }
        let sources = sources.into_iter().map(|(path, text)| Source { path, text }).collect();
        Ok(Self { packages, sources, locked })
    }

    /// A package of the workspace by its name.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

fn package(folder: &str, text: &str) -> Result<Package, String> {
    let manifest = document(text).map_err(|error| format!("{folder}/Cargo.toml: {error}"))?;
    let name = string(at(&manifest, &["package", "name"])).ok_or_else(|| format!("{folder}: no package name"))?;
    let mut dependencies = Vec::new();
    collect_dependencies(manifest.as_table(), &mut dependencies);
    for (_, target) in at(&manifest, &["target"]).and_then(Item::as_table_like).into_iter().flat_map(TableLike::iter) {
        if let Some(target) = target.as_table_like() {
            collect_dependencies(target, &mut dependencies);
        }
    }
    let layer = at(&manifest, &["package", "metadata", "layer"]).and_then(Item::as_integer);
    let linted = at(&manifest, &["lints", "workspace"]).and_then(Item::as_bool) == Some(true);
    Ok(Package { name, layer, linted, dependencies })
}

fn collect_dependencies(tables: &dyn TableLike, into: &mut Vec<(String, Purpose)>) {
    for (table, purpose) in [
        ("dependencies", Purpose::Shipped),
        ("build-dependencies", Purpose::Shipped),
        ("dev-dependencies", Purpose::Test),
    ] {
        for (key, value) in tables.get(table).and_then(Item::as_table_like).into_iter().flat_map(TableLike::iter) {
            let renamed = value.as_table_like().and_then(|table| string(table.get("package")));
            into.push((renamed.unwrap_or_else(|| key.to_owned()), purpose));
        }
    }
}

fn at<'a>(document: &'a DocumentMut, path: &[&str]) -> Option<&'a Item> {
    let mut item = document.as_item();
    for key in path {
        item = item.as_table_like()?.get(key)?;
    }
    Some(item)
}

fn document(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|error: toml_edit::TomlError| error.to_string())
}

fn string(item: Option<&Item>) -> Option<String> {
    item?.as_str().map(str::to_owned)
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn collect(root: &Path, folder: &Path, into: &mut Vec<(String, String)>) -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let path = folder.join(entry.file_name());
        if root.join(&path).is_dir() {
            if entry.file_name() != "target" {
                collect(root, &path, into)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push((path.to_string_lossy().replace('\\', "/"), text(&root.join(&path))?));
        }
    }
    Ok(())
}
