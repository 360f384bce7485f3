//! What the compiler says to who uses the bus wrongly: `tests/ui/*.rs` don't compile, and `*.stderr` are the messages.
//!
//! After a change of wording, `TRYBUILD=overwrite cargo test --test ui` writes them anew; read the difference.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Messages change with the compiler. With another one these can't be compared, so nothing is.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn what_does_not_compile_is_refused_in_these_words() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version);
    if version.starts_with(COMPILER) {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    } else {
        eprintln!("not compared: the messages are those of {COMPILER}x, and this is {version}");
    }
}

/// A case's first line says what its reader is to be told: by the message, or by the documentation of an item in it.
#[test]
fn each_message_names_the_cure() {
    let cases = fs::read_dir("tests/ui").expect("tests run in the package's folder");
    let cases = cases.map(|entry| entry.expect("it was listed").path());
    let cases: Vec<_> = cases.filter(|path| path.extension() == Some(OsStr::new("rs"))).collect();
    assert!(!cases.is_empty());

    for case in cases {
        let name = case.display();
        let source = read(&case);
        let cure = source.lines().next().and_then(|line| line.strip_prefix("// cure")?.split_once(": "));
        let (place, cure) =
            cure.unwrap_or_else(|| panic!("{name}: begin with `// cure: …` or `// cure at … in src/…: …`"));
        let message = read(case.with_extension("stderr"));
        if let Some((item, docs)) = place.strip_prefix(" at ").and_then(|place| place.split_once(" in ")) {
            assert!(message.contains(item), "{name}: the message doesn't lead to {item}");
            assert!(words(&read(docs)).contains(cure), "{name}: {docs} doesn't say: {cure}");
        } else {
            assert!(message.contains(cure), "{name}: the message doesn't say: {cure}");
        }
    }
}

/// A file of documentation with its line breaks undone.
fn words(source: &str) -> String {
    source.lines().map(|line| line.trim_start().trim_start_matches("///").trim()).collect::<Vec<_>>().join(" ")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
