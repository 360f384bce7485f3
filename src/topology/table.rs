//! A topology as a table.

use std::fmt;

use super::{EmitSite, Group, Topology, WITHOUT_METRICS};
use crate::info::Place;
use crate::registry::FIRST_TYPE;

/// A table: for each event the places that emit it and the listeners that hear it; then what nobody heard, and who was never called.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.groups();
        let rows = self.rows(&groups);
        let width = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
        if self.has_metrics {
            Row { cells: ["times", "unheard", "failed", "time"].map(str::to_owned), ..Row::of("event") }
                .print(f, width)?;
        }
        rows.iter().try_for_each(|row| row.print(f, width))?;
        if !self.has_metrics {
            return writeln!(f, "{WITHOUT_METRICS}");
        }

        let unheard = self.sites.iter().filter(|site| site.unheard > 0);
        print_list(
            f,
            "heard by nobody",
            unheard.map(|site| format!("{}, {} of {} {}", site.event, site.unheard, site.emitted, site.whence())),
        )?;
        let idle = groups.iter().filter(|group| group.idle > 0);
        print_list(
            f,
            "never called",
            idle.map(|group| {
                let part =
                    if group.idle < group.listeners { format!(" ({} of them)", group.idle) } else { String::new() };
                format!("{}{part}, for {}{}", group.title(), group.first.event, on(group.topics().as_deref()))
            }),
        )
    }
}

fn print_list(f: &mut fmt::Formatter<'_>, title: &str, mut items: impl Iterator<Item = String>) -> fmt::Result {
    let Some(first) = items.next() else { return writeln!(f, "{title}: none") };
    writeln!(f, "{title}:\n  {first}")?;
    items.try_for_each(|item| writeln!(f, "  {item}"))
}

fn on(topic: Option<&str>) -> String {
    topic.map(|topic| format!(" on {topic}")).unwrap_or_default()
}

struct Row {
    label: String,
    cells: [String; 4],
    remark: String,
}

impl Row {
    fn of(label: impl Into<String>) -> Self {
        Self { label: label.into(), cells: Default::default(), remark: String::new() }
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        let Self { label, cells: [times, unheard, failed, time], remark } = self;
        let line = format!("{label:<width$}{times:>10}{unheard:>10}{failed:>10}{time:>10}  {remark}");
        writeln!(f, "{}", line.trim_end())
    }
}

impl EmitSite {
    /// `emitted at src/shop.rs:10 on order.created`.
    fn whence(&self) -> String {
        let verb = if self.is_deferred { "deferred" } else { "emitted" };
        format!("{verb} at {}{}", Place(self.emitted_at), on(self.topic.as_deref()))
    }
}

impl Topology {
    fn rows(&self, groups: &[Group<'_>]) -> Vec<Row> {
        let sites = self.sites.iter().map(|site| (site.home, site.event));
        let mut events: Vec<_> = sites.chain(groups.iter().map(|group| (group.home(), group.first.event))).collect();
        // Those of listeners of every type come last.
        events.sort_by_key(|&(home, event)| (home < FIRST_TYPE, event, home));
        events.dedup();
        let mut rows = Vec::new();
        for (home, event) in events {
            rows.push(Row::of(event));
            rows.extend(self.sites.iter().filter(|site| site.home == home).map(Row::of_site));
            rows.extend(groups.iter().filter(|group| group.home() == home).map(|group| self.row_of(group)));
        }
        rows
    }

    fn row_of(&self, group: &Group<'_>) -> Row {
        let mut row = Row::of(format!("  heard by {}{}", group.title(), on(group.topics().as_deref())));
        if self.has_metrics {
            let time = if group.time.is_zero() { "0".to_owned() } else { format!("{:.1?}", group.time) };
            row.cells = [group.calls.to_string(), String::new(), group.failures.to_string(), time];
        }
        row.remark = group.remark();
        row
    }
}

impl Row {
    fn of_site(site: &EmitSite) -> Self {
        let remark = if site.unheard == site.emitted { "nobody hears it" } else { "" };
        let mut by: Vec<_> = site.by.iter().map(|who| who.short()).collect();
        by.dedup();
        let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
        Self {
            cells: [site.emitted.to_string(), site.unheard.to_string(), String::new(), String::new()],
            remark: remark.to_owned(),
            ..Self::of(format!("  {}{by}", site.whence()))
        }
    }
}
