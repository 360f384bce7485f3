//! Signals of C++: `cpp/bench.cpp` measures them as this program does, and says it in the same lines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

pub(crate) fn emit() {
    run("emit");
}

pub(crate) fn threads() {
    run("threads");
}

pub(crate) fn on_off() {
    run("on_off");
}

pub(crate) fn heap() {
    run("heap");
}

/// Of the compiler and of the libraries, if the program was built.
pub(crate) fn versions() -> Option<String> {
    said(Command::new(program()).arg("versions")).ok()
}

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cpp/bench.cpp");
const CURE: &str = "apt-get install g++ pkg-config libboost-dev libsigc++-3.0-dev";

fn run(group: &str) {
    let program = program();
    if let Err(error) = build(&program) {
        return eprintln!("signals of C++ are missing; on Debian, `{CURE}` brings what they need\n{error}");
    }
    let measured = Command::new(program).arg(group).status();
    assert!(measured.is_ok_and(|status| status.success()), "cpp/bench.cpp failed");
}

/// Where the compiler puts it: beside this program.
fn program() -> PathBuf {
    env::current_exe().expect("this program has a path").with_file_name("hearken-peers-cpp")
}

fn build(program: &Path) -> Result<(), String> {
    let changed = |path: &Path| fs::metadata(path)?.modified();
    if let (Ok(built), Ok(written)) = (changed(program), changed(Path::new(SOURCE)))
        && built > written
    {
        return Ok(());
    }
    let flags = said(Command::new("pkg-config").args(["--cflags", "--libs", "sigc++-3.0"]))?;
    let mut compiler = Command::new("c++");
    // Not all compilers tell the size of what is freed unless they are asked to.
    compiler
        .args(["-std=c++17", "-O3", "-pthread", "-fsized-deallocation", SOURCE, "-o"])
        .arg(program)
        .args(flags.split_whitespace());
    said(&mut compiler).map(drop)
}

/// What a command printed, or why it didn't, in a line.
fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    if output.status.success() { Ok(out) } else { Err(error.lines().next().unwrap_or_default().to_owned()) }
}
