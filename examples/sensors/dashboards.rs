//! Show what they are interested in, in figures. Each knows its pattern, and no sensor.

use std::fmt;
use std::sync::Arc;

use hearken::{Emitter, Subscription};

use crate::events::Reading;
use crate::tally::Tally;

const DASHBOARDS: [(&str, &str); 4] = [
    ("building 3", "building.3.**"),
    ("second floors", "building.*.floor.2.**"),
    ("climate", "**.temperature"),
    ("roofs", "building.*.roof.*"),
];

pub(crate) struct Dashboards {
    tallies: Vec<Arc<Tally>>,
    _hears: Vec<Subscription>,
}

impl Dashboards {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let tallies = DASHBOARDS.map(|(who, pattern)| Tally::new(who, pattern));
        let show = |((who, pattern), tally)| {
            let readings = bus.topics(pattern).listen::<Reading>().named(who);
            readings.on_weak(tally, |tally: &Tally, reading| tally.add(reading.value))
        };
        let hears = DASHBOARDS.into_iter().zip(&tallies).map(show).collect();
        Self { tallies: tallies.into(), _hears: hears }
    }
}

impl fmt::Display for Dashboards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tallies.iter().try_for_each(|tally| tally.fmt(f))
    }
}
