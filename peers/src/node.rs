//! Node's emitters: `node/bench.mjs` measures them as this program does, and says it in the same lines.

use std::path::Path;
use std::process::Command;

pub(crate) fn run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let is_there =
        |command: &str| Command::new(command).arg("--version").output().is_ok_and(|out| out.status.success());
    if !is_there("node") || !is_there("npm") {
        return eprintln!("node or npm is missing, and with it its emitters");
    }
    if !folder.join("node_modules").is_dir() {
        let installed = Command::new("npm").args(["ci", "--ignore-scripts", "--silent"]).current_dir(&folder).output();
        if !installed.is_ok_and(|out| out.status.success()) {
            return eprintln!("`npm ci` failed, so Node's emitters are missing");
        }
    }
    let measured = Command::new("node").arg("bench.mjs").current_dir(&folder).status();
    assert!(measured.is_ok_and(|status| status.success()), "node/bench.mjs failed");
}
