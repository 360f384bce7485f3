//! Where to listen, and how long.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use hearken::BoxError;

const USAGE: &str = "usage: chat [--port 3000] [--for 5s | --for 500ms]";

pub(crate) struct Arguments {
    /// 0 for one that is free.
    pub(crate) port: u16,
    /// None for until Ctrl-C.
    pub(crate) time: Option<Duration>,
}

impl Arguments {
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, BoxError> {
        let (mut port, mut time) = (3000, None);
        while let Some(arg) = args.next() {
            let mut value = |what: &str| args.next().ok_or_else(|| format!("{} needs {what}; {USAGE}", arg.display()));
            match arg.to_str() {
                Some("--port") => {
                    let text = value("a number")?;
                    port = number(&text).ok_or_else(|| format!("--port \"{}\" is no port; {USAGE}", text.display()))?;
                }
                Some("--for") => {
                    let text = value("a time")?;
                    let parsed =
                        duration(&text).ok_or_else(|| format!("--for \"{}\" is no time; {USAGE}", text.display()))?;
                    time = Some(parsed);
                }
                _ => return Err(format!("what is \"{}\"? {USAGE}", arg.display()).into()),
            }
        }
        Ok(Self { port, time })
    }
}

fn number(text: &OsStr) -> Option<u16> {
    text.to_str()?.parse().ok()
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
