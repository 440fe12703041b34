//! What `cargo metadata` says, reduced to names and edges.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::capture;

/// Packages by id, with the edges that are in force on this platform.
#[derive(Debug, Default)]
pub(super) struct Facts {
    packages: BTreeMap<String, Package>,
}

/// One package of the graph.
#[derive(Debug, Default, Clone)]
pub(super) struct Package {
    pub(super) name: String,
    /// A member of this workspace.
    pub(super) ours: bool,
    /// Ids it links when built for use.
    pub(super) normal: BTreeSet<String>,
    /// Ids it uses in tests, examples and benchmarks only.
    pub(super) dev: BTreeSet<String>,
    /// Ids its build script uses.
    pub(super) build: BTreeSet<String>,
}

impl Facts {
    /// Asks cargo about this workspace.
    pub(super) fn read() -> Result<Self> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let about = capture(Command::new("rustc").arg("-vV"))?;
        let host = about
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("`rustc -vV` names no host")?;
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
        let text = capture(
            Command::new(cargo)
                .args(["metadata", "--format-version", "1", "--filter-platform", host])
                .args(["--manifest-path", manifest]),
        )?;
        Self::parse(&text)
    }

    /// Reads the JSON of `cargo metadata`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let metadata: Metadata = serde_json::from_str(text).context("`cargo metadata` changed")?;
        let members: BTreeSet<&String> = metadata.workspace_members.iter().collect();
        let mut packages = BTreeMap::new();
        for package in &metadata.packages {
            let ours = members.contains(&package.id);
            let entry = Package { name: package.name.clone(), ours, ..Package::default() };
            packages.insert(package.id.clone(), entry);
        }
        for node in metadata.resolve.nodes {
            let package = packages.get_mut(&node.id).context("a node without a package")?;
            for edge in node.deps {
                for kind in edge.dep_kinds {
                    let set = match kind.kind.as_deref() {
                        None => &mut package.normal,
                        Some("dev") => &mut package.dev,
                        Some(_) => &mut package.build,
                    };
                    set.insert(edge.pkg.clone());
                }
            }
        }
        Ok(Self { packages })
    }

    /// The members of the workspace.
    pub(super) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| package.ours)
    }

    /// The package with that id.
    pub(super) fn get(&self, id: &str) -> Option<&Package> {
        self.packages.get(id)
    }

    /// Every package that some member needs to be built and tested.
    pub(super) fn reachable(&self) -> BTreeSet<&str> {
        let starts = self.packages.iter().filter(|(_, package)| package.ours).map(|(id, _)| id);
        self.follow(starts.map(String::as_str).collect(), |package| {
            package.normal.iter().chain(&package.dev).chain(&package.build).collect()
        })
    }

    /// The ids of what a member links, itself included: what an embedder compiles.
    pub(super) fn closure(&self, member: &str) -> BTreeSet<&str> {
        let own = |(_, package): &(&String, &Package)| package.ours && package.name == member;
        let starts = self.packages.iter().filter(own).map(|(id, _)| id.as_str()).collect();
        self.follow(starts, |package| package.normal.iter().collect())
    }

    fn follow<'a>(
        &'a self,
        mut waiting: Vec<&'a str>,
        edges: impl Fn(&'a Package) -> Vec<&'a String>,
    ) -> BTreeSet<&'a str> {
        let mut seen: BTreeSet<&str> = waiting.iter().copied().collect();
        while let Some(id) = waiting.pop() {
            for next in self.packages.get(id).map(&edges).unwrap_or_default() {
                if seen.insert(next) {
                    waiting.push(next);
                }
            }
        }
        seen
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}
