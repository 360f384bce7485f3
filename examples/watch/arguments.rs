//! What to watch, and how long.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use hearken::BoxError;

const USAGE: &str = "usage: watch DIR [--for 5s | --for 500ms]";

pub(crate) struct Arguments {
    pub(crate) folder: PathBuf,
    /// None for until Ctrl-C.
    pub(crate) time: Option<Duration>,
}

impl Arguments {
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, BoxError> {
        let (mut folder, mut time) = (None, None);
        while let Some(arg) = args.next() {
            if arg == "--for" {
                let text = args.next().ok_or_else(|| format!("--for needs a time; {USAGE}"))?;
                let parsed =
                    duration(&text).ok_or_else(|| format!("--for \"{}\" is no time; {USAGE}", text.display()))?;
                time = Some(parsed);
            } else if arg.as_encoded_bytes().starts_with(b"-") {
                return Err(format!("unknown flag \"{}\"; {USAGE}", arg.display()).into());
            } else if folder.is_some() {
                return Err(format!("one folder at a time, and \"{}\" is the second; {USAGE}", arg.display()).into());
            } else {
                folder = Some(PathBuf::from(arg));
            }
        }
        let folder = folder.ok_or_else(|| format!("which folder? {USAGE}"))?;
        Ok(Self { folder, time })
    }
}

/// `5s` or `500ms`.
fn duration(text: &OsStr) -> Option<Duration> {
    let text = text.to_str()?;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}
