//! Counts every event that goes over the bus, without knowing any.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hearken::{Emitter, Subscription};

pub(crate) struct Audit {
    trail: Arc<Mutex<Trail>>,
    _hears: Vec<Subscription>,
}

/// How often which type was emitted.
type Trail = BTreeMap<&'static str, u64>;

impl Audit {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let trail = Arc::new(Mutex::new(Trail::new()));
        let everything = bus.on_any({
            let trail = Arc::clone(&trail);
            move |event| {
                let mut trail = trail.lock().unwrap_or_else(PoisonError::into_inner);
                *trail.entry(event.type_name()).or_default() += 1;
            }
        });
        Self { trail, _hears: vec![everything] }
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:>12}", "event", "emitted")?;
        for (event, times) in &*self.trail.lock().unwrap_or_else(PoisonError::into_inner) {
            writeln!(f, "{:<24}{times:>12}", short(event))?;
        }
        Ok(())
    }
}

/// `Failure` for `hearken::failure::Failure<…>`.
fn short(type_name: &str) -> &str {
    let path = type_name.split('<').next().unwrap_or(type_name);
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lenient_bus;

    #[test]
    fn every_event_is_counted_under_its_short_name_failures_too() {
        let bus = lenient_bus();
        let audit = Audit::new(&bus);
        let seen = bus.record_any();
        let _fails = bus.on(|_: &crate::events::MailSent| Err::<(), _>("no".into()));
        bus.emit(&crate::events::MailSent);
        bus.emit(&crate::events::BlankLine);
        bus.emit(&crate::events::MailSent);
        let rows = ["event emitted", "Failure 2", "BlankLine 1", "MailSent 2"];
        let told = audit.to_string();
        let told = told.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut told: Vec<_> = told.collect();
        told[1..].sort_unstable_by_key(|row| rows.iter().position(|wanted| wanted == row));
        assert_eq!(told, rows);
        assert_eq!(seen.len(), 5, "as many as a recorder sees");
    }
}
