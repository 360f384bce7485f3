//! What the program was asked to do.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::str::FromStr;

use hearken::BoxError;

use crate::billing::Provider;
use crate::input::Input;

pub(crate) struct Arguments {
    pub(crate) input: Input,
    /// What to show of the shop in the end.
    pub(crate) view: Option<View>,
    /// Who takes the money, if that is one who doesn't always answer.
    pub(crate) flaky: Option<Provider>,
}

/// How to show the shop's topology.
#[derive(Clone, Copy)]
pub(crate) enum View {
    Table,
    Mermaid,
    Dot,
}

/// Of the provider's outages, unless told otherwise.
const SEED: u64 = 1;

const USAGE: &str = "usage: order_flow [--flaky RATE [--seed NUMBER]] [--topology | --topology=mermaid | --topology=dot] \
                     [FILE | -]";

impl Arguments {
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, BoxError> {
        let (mut view, mut rate, mut seed) = (None, None, None);
        let mut arg = args.next();
        while let Some(option) = &arg {
            if option == "--flaky" {
                let is_rate = |rate: &f64| (0.0..=1.0).contains(rate);
                rate = Some(
                    value(args.next(), is_rate)
                        .map_err(|found| format!("--flaky takes a rate from 0 to 1, not {found}"))?,
                );
            } else if option == "--seed" {
                seed = Some(
                    value(args.next(), |_| true)
                        .map_err(|found| format!("--seed takes a whole number, not {found}"))?,
                );
            } else if let Some(found) = View::from_arg(option) {
                view = Some(found);
            } else {
                break;
            }
            arg = args.next();
        }
        let input = match (arg, args.next()) {
            (None, _) => Input::file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/order_flow/orders.jsonl"))?,
            (Some(dash), None) if dash == "-" => Input::stdin(),
            (Some(path), None) => Input::file(Path::new(&path))?,
            (Some(_), Some(_)) => return Err(format!("too many arguments; {USAGE}").into()),
        };
        let flaky = match (rate, seed) {
            (Some(rate), seed) => Some(Provider::flaky(rate, seed.unwrap_or(SEED))),
            (None, Some(_)) => return Err(format!("--seed is for --flaky; {USAGE}").into()),
            (None, None) => None,
        };
        Ok(Self { input, view, flaky })
    }
}

/// What stands behind an option; else what was found there.
fn value<V: FromStr>(arg: Option<OsString>, is_valid: impl Fn(&V) -> bool) -> Result<V, String> {
    let Some(arg) = arg else { return Err("nothing".to_owned()) };
    let value = arg.to_str().and_then(|text| text.parse().ok());
    value.filter(is_valid).ok_or_else(|| format!("{:?}", arg.to_string_lossy()))
}

impl View {
    fn from_arg(arg: &OsStr) -> Option<Self> {
        match arg.to_str()? {
            "--topology" => Some(Self::Table),
            "--topology=mermaid" => Some(Self::Mermaid),
            "--topology=dot" => Some(Self::Dot),
            _ => None,
        }
    }
}
