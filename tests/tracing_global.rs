//! A subscriber for the whole program, which `tracing` doesn't keep from being told of what it does itself. In a process of its own.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use common::{in_time, strict_bus};
use hearken::Emitter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

struct Asked;
struct Said;

/// Says so on a bus whenever it is told anything.
struct Loud {
    bus: OnceLock<Emitter>,
    spans: AtomicUsize,
}

impl Loud {
    fn says(&self) {
        if let Some(bus) = self.bus.get() {
            bus.emit(&Said);
        }
    }
}

struct Shared(Arc<Loud>);

impl Subscriber for Shared {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.0.says();
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.0.says();
        Id::from_u64(self.0.spans.fetch_add(1, Ordering::SeqCst) as u64 + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.says();
    }

    fn enter(&self, _: &Id) {
        self.0.says();
    }

    fn exit(&self, _: &Id) {
        self.0.says();
    }

    fn try_close(&self, _: Id) -> bool {
        self.0.says();
        true
    }
}

#[test]
fn a_subscriber_of_the_whole_program_that_emits_is_told_of_no_more_than_others_emit() {
    let loud = Arc::new(Loud { bus: OnceLock::new(), spans: AtomicUsize::new(0) });
    tracing::subscriber::set_global_default(Shared(Arc::clone(&loud))).expect("nobody else sets one");
    let bus = strict_bus();
    let said = Arc::new(AtomicUsize::new(0));
    let (count, depth) = (Arc::clone(&said), Arc::new(AtomicUsize::new(0)));
    let deepest = Arc::clone(&depth);
    let _said = bus.on_with(move |_: &Said, cx| {
        count.fetch_add(1, Ordering::SeqCst);
        deepest.fetch_max(cx.depth(), Ordering::SeqCst);
    });
    let _asked = bus.on(|_: &Asked| {});
    assert!(loud.bus.set(bus.clone()).is_ok());
    let emits = bus.clone();
    in_time(move || {
        for _ in 0..3 {
            assert_eq!(emits.emit(&Asked).heard, 1);
        }
    });
    assert_eq!(loud.spans.load(Ordering::SeqCst), 3);
    assert!(said.load(Ordering::SeqCst) >= 3 * 4);
    assert_eq!(depth.load(Ordering::SeqCst), 2);
}
