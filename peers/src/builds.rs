//! What a crate brings with it: how many others, and how long all of them take to build.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, io, process};

use crate::harness::{HEARKEN, Who, case};
use crate::table::{LOCK, locked};

const CRATES: [Who; 14] = [
    HEARKEN,
    Who::new("mod-events", ""),
    Who::new("signals2", ""),
    Who::new("rxrust", ""),
    Who::new("bevy_ecs", ""),
    Who::new("evenio", ""),
    Who::new("event-emitter-rs", ""),
    Who::new("mqtt-topic-engine", ""),
    Who::new("globset", ""),
    Who::new("crossbeam-channel", ""),
    Who::new("flume", ""),
    Who::new("event-listener", ""),
    Who::new("tokio", "nothing is a default: no channels, no runtime"),
    Who::new("async-broadcast", ""),
];

pub(crate) fn print() {
    let folder = env::temp_dir().join(format!("hearken-peers-{}", process::id()));
    let figures = CRATES.map(|who| {
        eprintln!("building {}", who.name);
        build(&folder, who.name).unwrap_or_else(|error| {
            eprintln!("{}: {error}", who.name);
            (f64::NAN, f64::NAN)
        })
    });
    if let Err(error) = fs::remove_dir_all(&folder) {
        eprintln!("{} is left: {error}", folder.display());
    }
    case("beside itself", "crates", &CRATES, [figures.map(|(crates, _)| crates).to_vec()]);
    case("time", "s", &CRATES, [figures.map(|(_, seconds)| seconds).to_vec()]);
}

/// How many crates it needs, and the seconds that building a package takes that is empty but for needing this one.
fn build(folder: &Path, name: &str) -> io::Result<(f64, f64)> {
    let needed = match name {
        "hearken" => format!("path = {:?}", concat!(env!("CARGO_MANIFEST_DIR"), "/..")),
        _ => format!("version = \"={}\"", locked(name).expect("the lock file has it")),
    };
    let manifest = format!(
        "[package]\nname = \"alone\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{name} = {{ {needed} }}\n"
    );
    let target = folder.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("Cargo.lock"), LOCK)?; // as far as it goes: default features may need more
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", &target).env("RUSTC_WRAPPER", "");
        let output = cargo.stderr(Stdio::inherit()).output()?;
        if output.status.success() { Ok(output.stdout) } else { Err(io::Error::other(format!("{cargo:?} failed"))) }
    };
    // This fetches them too.
    let tree = cargo(&["tree", "--quiet", "--prefix", "none", "--edges", "normal"])?;
    let tree = String::from_utf8_lossy(&tree);
    // What stands behind name and version tells of the place in the tree.
    let crates: HashSet<Vec<_>> = tree.lines().map(|line| line.split(' ').take(2).collect()).collect();
    let start = Instant::now();
    cargo(&["build", "--quiet", "--release", "--offline"])?;
    let seconds = start.elapsed().as_secs_f64();
    Ok((crates.len() as f64 - 2.0, seconds)) // beside the package, and itself
}
