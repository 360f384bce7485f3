//! Node's emitters: `node/bench.mjs` measures them as this program does, and says it in the same lines.

use std::path::PathBuf;
use std::process::Command;

pub(crate) fn emit() {
    run("emit");
}

pub(crate) fn on_off() {
    run("on_off");
}

/// Of Node and of the packages, if there is a Node.
pub(crate) fn versions() -> Vec<String> {
    let Some(node) = version("node") else { return Vec::new() };
    let lock = include_str!("../node/package-lock.json");
    let package = |name: &str| {
        let (_, entry) = lock.split_once(&format!("\"node_modules/{name}\": {{"))?;
        let (_, version) = entry.split_once("\"version\": \"")?;
        Some(format!("{name} {}", version.split_once('"')?.0))
    };
    let packages = ["emittery", "eventemitter2", "eventemitter3", "mitt", "nanoevents"].into_iter().filter_map(package);
    [format!("node {node}")].into_iter().chain(packages).collect()
}

fn run(group: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node");
    if version("node").is_none() || version("npm").is_none() {
        return eprintln!("node or npm is missing, and with it its emitters");
    }
    if !folder.join("node_modules").is_dir() {
        let installed = Command::new("npm").args(["ci", "--ignore-scripts", "--silent"]).current_dir(&folder).output();
        if !installed.is_ok_and(|out| out.status.success()) {
            return eprintln!("`npm ci` failed, so Node's emitters are missing");
        }
    }
    let measured = Command::new("node").args(["bench.mjs", group]).current_dir(&folder).status();
    assert!(measured.is_ok_and(|status| status.success()), "node/bench.mjs failed");
}

fn version(command: &str) -> Option<String> {
    let says = Command::new(command).arg("--version").output().ok()?;
    says.status.success().then(|| String::from_utf8_lossy(&says.stdout).trim().trim_start_matches('v').to_owned())
}
