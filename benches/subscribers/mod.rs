//! Who may be told of emissions by `tracing`, none of whom does anything with it.

use std::sync::atomic::{AtomicU64, Ordering};

use divan::black_box;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Event, Metadata, Subscriber, callsite};

/// Who is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// There is no subscriber.
    Nobody,
    /// One that wants warnings only, as most programs have.
    OfWarnings,
    /// One that wants everything of other targets, down to the debug level.
    OfOthers,
    OfEverything,
}

impl Told {
    pub(crate) const ALL: [Self; 4] = [Self::Nobody, Self::OfWarnings, Self::OfOthers, Self::OfEverything];

    /// Has it be told on this thread while this runs.
    pub(crate) fn during(self, run: impl FnOnce()) {
        let guard = match self {
            Self::Nobody => None,
            Self::OfWarnings => Some(set_default(Idle::down_to(LevelFilter::WARN, |_| true))),
            Self::OfOthers => Some(set_default(Idle::down_to(LevelFilter::DEBUG, |target| target != "hearken"))),
            Self::OfEverything => Some(set_default(Idle::down_to(LevelFilter::TRACE, |_| true))),
        };
        run();
        drop(guard);
        // Or the level would stay what it was.
        callsite::rebuild_interest_cache();
    }
}

struct Idle {
    level: LevelFilter,
    wants: fn(&str) -> bool,
    spans: AtomicU64,
}

impl Idle {
    fn down_to(level: LevelFilter, wants: fn(&str) -> bool) -> Self {
        Self { level, wants, spans: AtomicU64::new(1) }
    }
}

impl Subscriber for Idle {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && (self.wants)(metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        black_box(span);
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
