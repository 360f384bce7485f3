//! What a group of contenders tells of itself: a line of tab-separated values for each figure.

use crate::measure::median;

/// Who is measured, and what beside its figure has to be known of it.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) name: &'static str,
    /// What it can't do, that hearken can.
    pub(crate) cannot: &'static str,
    /// How many times as long as this one's hearken's figure may be.
    bar: Option<f64>,
}

impl Who {
    pub(crate) const fn new(name: &'static str, cannot: &'static str) -> Self {
        Self { name, cannot, bar: None }
    }

    pub(crate) const fn bar(self, at_most: f64) -> Self {
        Self { bar: Some(at_most), ..self }
    }
}

pub(crate) const HEARKEN: Who = Who::new("hearken", "");

pub(crate) const COLUMNS: [&str; 11] = [
    "group",
    "case",
    "contender",
    "unit",
    "median",
    "lowest",
    "highest",
    "to_hearken",
    "hearken_to",
    "hearken_at_most",
    "cannot",
];

/// Prints what all contenders of a case were found to take in each round. The ratios are formed inside a round.
pub(crate) fn case<const N: usize>(name: &str, unit: &str, contenders: &[Who], rounds: [Vec<f64>; N]) {
    let hearken = contenders.iter().position(|who| who.name == HEARKEN.name);
    for (at, who) in contenders.iter().enumerate() {
        let figures = rounds.each_ref().map(|round| round[at]);
        let lowest = figures.into_iter().fold(f64::INFINITY, f64::min);
        let highest = figures.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let ratio =
            |of: usize, to: usize| format!("{:.3}", median(rounds.each_ref().map(|round| round[of] / round[to])));
        let [to_hearken, hearken_to] = match hearken {
            Some(hearken) if unit != "x" => [ratio(at, hearken), ratio(hearken, at)],
            _ => Default::default(),
        };
        let bar = who.bar.map(|bar| bar.to_string()).unwrap_or_default();
        let (who, cannot, figure) = (who.name, who.cannot, median(figures));
        println!(
            "{name}\t{who}\t{unit}\t{figure:.2}\t{lowest:.2}\t{highest:.2}\t{to_hearken}\t{hearken_to}\t{bar}\t{cannot}"
        );
    }
}
