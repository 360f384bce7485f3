//! The table: for each group, a row for each contender and a column for each case.

use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::harness::{COLUMNS, HEARKEN};
use crate::measure::ROUNDS;
use crate::{cpp, node};

#[derive(Clone, Copy)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) run: fn(),
}

pub(crate) const LOCK: &str = include_str!("../Cargo.lock");

/// Whose versions are told: the last of each name in the lock file, which is the newest, and ours.
const PEERS: [&str; 17] = [
    "hearken",
    "arc-swap",
    "async-broadcast",
    "bevy_ecs",
    "crossbeam-channel",
    "event-emitter-rs",
    "event-listener",
    "evenio",
    "flume",
    "globset",
    "hashbrown",
    "mod-events",
    "mqtt-topic-engine",
    "rxrust",
    "signals2",
    "tokio",
    "allocation-counter",
];

struct Row {
    fields: [String; COLUMNS.len()],
}

impl Row {
    fn get(&self, column: &str) -> &str {
        COLUMNS.iter().position(|name| *name == column).map_or("", |at| &self.fields[at])
    }

    fn number(&self, column: &str) -> Option<f64> {
        self.get(column).parse().ok().filter(|number: &f64| number.is_finite())
    }
}

pub(crate) struct Table {
    load: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn begin() -> Self {
        Self { load: load(), rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, line: &str) {
        let mut fields = line.split('\t').map(str::to_owned);
        self.rows.push(Row { fields: [(); COLUMNS.len()].map(|()| fields.next().unwrap_or_default()) });
    }

    pub(crate) fn markdown(&self, groups: &[Group]) -> String {
        let mut text = format!(
            "# hearken beside its peers\n\nMade by `cargo run --release` in `peers/`; README.md says how to read it.\n\n{}",
            self.about()
        );
        for group in groups {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.get("group") == group.name).collect();
            write!(text, "\n## {}\n\n", group.title).unwrap();
            section(&mut text, &rows);
        }
        text
    }

    /// When, where and of what the figures are, and how to read a cell.
    pub(crate) fn about(&self) -> String {
        format!(
            "- {date}; {cpu}, {cores} cores; load of the machine {before} before and {after} after\n\
             - {compiler}; {versions}\n\
             - medians of {ROUNDS} rounds; in brackets, how many times hearken's figure of the same round it is\n\
             - –: it can't, or gets no further than a few seconds would take it\n",
            date = said("date", &["-u", "+%F"]),
            cpu = cpu(),
            cores = available_parallelism().map_or(0, usize::from),
            before = self.load,
            after = load(),
            compiler = env!("COMPILER"),
            versions = versions(),
        )
    }

    pub(crate) fn cell(&self, group: &str, case: &str, contender: &str) -> String {
        self.row(group, case, contender).map_or("–".to_owned(), figure)
    }

    pub(crate) fn cannot(&self, group: &str, case: &str, contender: &str) -> Option<&str> {
        self.row(group, case, contender).map(|row| row.get("cannot"))
    }

    pub(crate) fn unit(&self, group: &str, case: &str) -> &str {
        self.row(group, case, HEARKEN.name).map_or("", |row| row.get("unit"))
    }

    fn row(&self, group: &str, case: &str, contender: &str) -> Option<&Row> {
        let names = [("group", group), ("case", case), ("contender", contender)];
        self.rows.iter().find(|row| names.iter().all(|(column, name)| row.get(column) == *name))
    }
}

fn section(text: &mut String, rows: &[&Row]) {
    let cases = distinct(rows.iter().map(|row| (row.get("case"), row.get("unit"))));
    let contenders = distinct(rows.iter().map(|row| (row.get("contender"), row.get("cannot"))));
    if cases.is_empty() {
        return text.push_str("Not measured.\n");
    }
    let header = cases.iter().map(|(case, unit)| format!(" {case}, {unit} |")).collect::<String>();
    writeln!(text, "| |{header} what it can't |\n| --- |{} --- |", " ---: |".repeat(cases.len())).unwrap();
    for (contender, cannot) in contenders {
        let name = if contender == HEARKEN.name { format!("**{contender}**") } else { contender.to_owned() };
        write!(text, "| {name} |").unwrap();
        for (case, _) in &cases {
            let cell = rows.iter().find(|row| row.get("case") == *case && row.get("contender") == contender);
            write!(text, " {} |", cell.map_or("–".to_owned(), |row| figure(row))).unwrap();
        }
        writeln!(text, " {cannot} |").unwrap();
    }
    let bars: Vec<_> = rows.iter().filter_map(|row| bar(row)).collect();
    if !bars.is_empty() {
        write!(text, "\n{}", bars.concat()).unwrap();
    }
}

fn figure(row: &Row) -> String {
    let figure = match row.number("median") {
        Some(figure) if row.get("unit") == "x" => format!("{figure:.2}"),
        Some(figure) if row.get("unit") == "crates" => thousands(figure),
        Some(figure) if figure < 100.0 => format!("{figure:.1}"),
        Some(figure) => thousands(figure),
        None => return "–".to_owned(),
    };
    match row.number("to_hearken") {
        Some(ratio) if row.get("contender") != HEARKEN.name => {
            let ratio = if ratio < 100.0 { format!("{ratio:.2}") } else { thousands(ratio) };
            format!("{figure} ({ratio} ×)")
        }
        _ => figure,
    }
}

fn bar(row: &Row) -> Option<String> {
    let (bar, ratio) = (row.number("hearken_at_most")?, row.number("hearken_to")?);
    let is_met = if ratio <= bar { "met" } else { "missed" };
    let [case, contender] = ["case", "contender"].map(|column| row.get(column));
    Some(format!(
        "- {case}: hearken takes {ratio:.2} × as long as {contender}, and means to take at most {bar} ×: {is_met}\n"
    ))
}

fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

fn versions() -> String {
    let version = |name| Some(format!("{name} {}", locked(name)?));
    PEERS.into_iter().filter_map(version).chain(node::versions()).chain(cpp::versions()).collect::<Vec<_>>().join(", ")
}

/// The version of this crate in the lock file.
pub(crate) fn locked(name: &str) -> Option<&'static str> {
    let (_, rest) = LOCK.rsplit_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split_once('"')?.0)
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("an unknown processor", |(_, name)| name).to_owned()
}

/// How many processes wanted to run in the last minute, this one among them.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

fn said(command: &str, arguments: &[&str]) -> String {
    let out = Command::new(command).args(arguments).output();
    out.map_or("unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
