//! Listen for readings that are out of bounds, and give the alarm, which is an event on a topic of its own.

use std::fmt;
use std::sync::Arc;

use hearken::{Emitter, Subscription};

use crate::events::{Alarm, Reading};
use crate::tally::Tally;

/// Who, the readings it listens to, the highest that is still fine, and the topic of its alarms.
const DETECTORS: [(&str, &str, f64, &str); 2] = [
    ("smoke alarm", "**.smoke", 0.1, "alarm.fire"),
    ("heat alarm", "building.*.floor.**.temperature", 35.0, "alarm.heat"),
];

const SIREN: (&str, &str) = ("siren", "alarm.*");

pub(crate) struct Alarms {
    tallies: Vec<Arc<Tally>>,
    _hears: Vec<Subscription>,
}

impl Alarms {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let (who, pattern) = SIREN;
        let siren = Tally::new(who, pattern);
        let alarms = bus.topics(pattern).listen::<Alarm>().named(who);
        let mut hears = vec![alarms.on_weak(&siren, |siren, alarm| siren.add(alarm.value))];
        let mut tallies = Vec::new();
        for (who, pattern, limit, alarm) in DETECTORS {
            let tally = Tally::new(who, pattern);
            let readings = bus.topics(pattern).listen::<Reading>().named(who);
            // Before the dashboards: an alarm doesn't wait.
            let dangers = readings.priority(10).filter(move |reading| reading.value > limit);
            hears.push(dangers.on_with({
                let tally = Arc::clone(&tally);
                move |reading, cx| {
                    tally.add(reading.value);
                    cx.emitter().topic(alarm).emit(&Alarm { value: reading.value });
                }
            }));
            tallies.push(tally);
        }
        tallies.push(siren);
        Self { tallies, _hears: hears }
    }
}

impl fmt::Display for Alarms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tallies.iter().try_for_each(|tally| tally.fmt(f))
    }
}
