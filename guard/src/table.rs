//! What was counted, and what may be: counts.tsv.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What one case takes, each time.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

pub(crate) struct Table {
    pub(crate) made_with: String,
    pub(crate) rows: Vec<(String, Count)>,
}

/// How much more than what is checked in may be counted. The counts are exact; this is for another copy of `memcpy`, and the like.
const MORE: f64 = 0.02;
/// How much less, before what is checked in allows too much.
const LESS: f64 = 0.1;

const HEAD: &str = "case\tinstructions\tallocations";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.tsv");

impl Table {
    pub(crate) fn checked_in() -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(FILE)?;
        let mut lines = text.lines();
        let made_with = lines.next().and_then(|line| line.strip_prefix("# ")).ok_or("counts.tsv has no first line")?;
        let rows = lines.skip(1).map(|line| match *line.split('\t').collect::<Vec<_>>() {
            [name, instructions, allocations] => {
                let count = Count { instructions: instructions.parse()?, allocations: allocations.parse()? };
                Ok((name.to_owned(), count))
            }
            _ => Err(format!("counts.tsv: {line:?}").into()),
        });
        let rows = rows.collect::<Result<_, Box<dyn Error>>>()?;
        Ok(Self { made_with: made_with.to_owned(), rows })
    }

    pub(crate) fn rewrite(&self) -> Result<(), Box<dyn Error>> {
        let mut text = format!("# {}\n{HEAD}\n", self.made_with);
        for (name, Count { instructions, allocations }) in &self.rows {
            writeln!(text, "{name}\t{instructions:.1}\t{allocations:.3}")?;
        }
        fs::write(FILE, &text)?;
        println!("counts.tsv is now:\n{text}");
        Ok(())
    }

    /// Prints each beside what is allowed, and says what is wrong. `profiles`: where valgrind wrote down what it counted.
    pub(crate) fn compare(&self, allowed: &Self, profiles: &Path) -> Result<(), Box<dyn Error>> {
        println!("\n{:<22} {:>14} {:>14} {:>8} {:>12}", "case", "instructions", "checked in", "change", "allocations");
        let mut wrong = Vec::new();
        for (name, count) in &self.rows {
            let Some((_, before)) = allowed.rows.iter().find(|(known, _)| known == name) else {
                wrong.push(format!("{name} is not in counts.tsv"));
                continue;
            };
            let change = count.instructions / before.instructions - 1.0;
            println!(
                "{name:<22} {:>14.1} {:>14.1} {:>+7.1}% {:>12.3}",
                count.instructions,
                before.instructions,
                100.0 * change,
                count.allocations
            );
            wrong.extend(verdict(name, *count, *before));
        }
        wrong.extend(
            allowed
                .rows
                .iter()
                .filter(|(name, _)| !self.rows.iter().any(|(known, _)| known == name))
                .map(|(name, _)| format!("{name} is in counts.tsv, and no case")),
        );
        if wrong.is_empty() {
            return Ok(());
        }
        if self.made_with != allowed.made_with {
            wrong.push(format!("This was counted with {},\ncounts.tsv with {}.", self.made_with, allowed.made_with));
        }
        wrong.push(format!(
            "`callgrind_annotate {}` shows where a case's instructions are.\n\
             If they are meant, `cargo run --release -- --rewrite` in guard/ moves the limits, and the commit says why.",
            profiles.join("CASE").display()
        ));
        Err(wrong.join("\n").into())
    }
}

/// What is wrong with a count, in words.
fn verdict(name: &str, count: Count, before: Count) -> Vec<String> {
    let Count { instructions, allocations } = count;
    let (most, least) = (before.instructions * (1.0 + MORE), before.instructions * (1.0 - LESS));
    let mut wrong = Vec::new();
    if instructions > most {
        wrong.push(format!("{name} takes {instructions:.1} instructions: at most {most:.1} are allowed"));
    }
    if instructions < least {
        wrong.push(format!(
            "{name} takes only {instructions:.1} instructions, and {:.1} are checked in: the limit should follow",
            before.instructions
        ));
    }
    // Half of what the table's last digit can say.
    if allocations > before.allocations + 0.0005 {
        let most = before.allocations;
        wrong.push(format!("{name} allocates {allocations:.3} times: at most {most:.3} are allowed"));
    }
    wrong
}
