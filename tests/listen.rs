//! The options of `listen`, together: each keeps its promise whatever else was asked for.

mod common;

use std::sync::Arc;

use common::strict_bus;
use hearken::Listen;

type Options = fn(Listen<'_, u32>) -> Listen<'_, u32>;

/// Nothing, a filter, a limit, both.
const OPTIONS: [Options; 4] = [
    |listen| listen,
    |listen| listen.filter(|_| true),
    |listen| listen.times(9),
    |listen| listen.filter(|_| true).times(9),
];

#[test]
fn a_recorder_with_options_records_and_is_not_counted() {
    for options in OPTIONS {
        let bus = strict_bus();
        let recorder = options(bus.listen()).record();
        assert_eq!(bus.emit(&7_u32).heard, 0);
        assert_eq!(bus.listen::<u32>().count(), 0);
        assert_eq!(recorder.take(), [7]);
    }
}

#[test]
fn a_weak_listener_with_options_goes_with_its_owner() {
    for options in OPTIONS {
        let bus = strict_bus();
        let owner = Arc::new(());
        let hears = options(bus.listen()).on_weak(&owner, |(), _| {});
        assert_eq!((bus.listen::<u32>().count(), bus.emit(&7_u32).heard), (1, 1));
        drop(owner);
        assert_eq!(bus.listen::<u32>().count(), 0, "nobody would hear it");
        assert!(hears.is_active(), "nobody looked yet");
        assert_eq!(bus.emit(&7_u32).heard, 0);
        assert!(!hears.is_active());
    }
}

#[test]
fn a_limit_with_options_is_a_limit() {
    for options in OPTIONS {
        let bus = strict_bus();
        let _hears = options(bus.listen()).times(2).on(|_| {});
        let heard: Vec<_> = (0..4).map(|n: u32| bus.emit(&n).heard).collect();
        assert_eq!(heard, [1, 1, 0, 0]);
        assert_eq!(bus.listen::<u32>().count(), 0);
    }
}

/// Its clones panic when they are dropped.
struct Fragile {
    is_clone: bool,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        Self { is_clone: true }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.is_clone, "fragile");
    }
}

#[test]
fn what_a_recorder_holds_may_panic_when_it_is_dropped() {
    let bus = strict_bus();
    let recorder = bus.record::<Fragile>();
    bus.emit(&Fragile { is_clone: false });
    assert_eq!(recorder.len(), 1);
    drop(recorder);
    assert_eq!(bus.suppressed_failures(), 1);
}
