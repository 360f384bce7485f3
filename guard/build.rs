//! Which compiler the counts are of.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let says = Command::new(rustc).arg("--version").output().expect("the compiler runs");
    println!("cargo::rustc-env=COMPILER={}", String::from_utf8_lossy(&says.stdout).trim());
    println!("cargo::rerun-if-changed=build.rs");
}
