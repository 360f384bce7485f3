//! What many listeners cost, counted in bytes and allocations, not in time.

use allocation_counter::{AllocationInfo, measure};
use hearken::{Emitter, ListenerId};

struct Event;

fn bus() -> Emitter {
    Emitter::builder().leak_warning(0).build(hearken::panic)
}

fn listen(bus: &Emitter, priority: i32) -> ListenerId {
    bus.listen::<Event>().priority(priority).on(|_| {}).detach()
}

/// What a crowd of this many costs a listener at each stage of its life.
fn a_crowds_life(listeners: usize) -> [(&'static str, AllocationInfo); 6] {
    let bus = bus();
    let mut ids = Vec::with_capacity(listeners + 1);
    // The order of leaving: all over the place, each once.
    let stride = 7_919;
    assert!(!listeners.is_multiple_of(stride));
    let scattered = |n: usize| n * stride % listeners;

    let come = measure(|| ids.extend((0..listeners).map(|_| listen(&bus, 0))));
    assert_eq!(bus.emit(&Event).heard, listeners);
    let come_and_go = measure(|| {
        for _ in 0..listeners {
            let id = listen(&bus, 0);
            bus.off(id);
        }
    });
    let mut order = (0..listeners).map(scattered);
    let go_while_shared = measure(|| {
        // Every chunk is shared by the snapshot of an emission under way, and has to be copied: once, not for each that goes.
        let half: Vec<_> = order.by_ref().take(listeners / 2).map(|n| ids[n]).collect();
        let leave = bus.listen::<Event>().priority(1).on_with(move |_, cx| {
            for &id in &half {
                assert!(cx.emitter().off(id));
            }
        });
        assert_eq!(bus.emit(&Event).heard, 1 + listeners - listeners / 2);
        drop(leave);
    });
    let go = measure(|| {
        for n in order {
            assert!(bus.off(ids[n]));
        }
    });
    let push_in = measure(|| {
        for n in 0..listeners {
            listen(&bus, i32::try_from(scattered(n)).unwrap());
        }
    });
    let go_at_once = measure(|| {
        for _ in 0..listeners {
            bus.once(|_: &Event| {}).detach();
        }
        assert_eq!(bus.emit(&Event).heard, 2 * listeners);
        assert_eq!(bus.emit(&Event).heard, listeners);
        assert_eq!(bus.off_all(), listeners);
    });
    [
        ("come", come),
        ("come and go", come_and_go),
        ("go while shared", go_while_shared),
        ("go", go),
        ("push in", push_in),
        ("go at once", go_at_once),
    ]
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "averages of numbers far below 2^52")]
fn a_hundred_thousand_listeners_cost_each_what_ten_thousand_do() {
    let (few, many) = (10_000, 100_000);
    for ((stage, of_few), (_, of_many)) in a_crowds_life(few).into_iter().zip(a_crowds_life(many)) {
        let each = |total: u64, crowd: usize| total as f64 / crowd as f64;
        let (bytes, more_bytes) = (each(of_few.bytes_total, few), each(of_many.bytes_total, many));
        let (count, more_count) = (each(of_few.count_total, few), each(of_many.count_total, many));
        println!(
            "{stage:>16}: {bytes:6.1} and {more_bytes:6.1} bytes, {count:.2} and {more_count:.2} allocations each"
        );
        assert!(more_bytes <= bytes * 1.2 + 1.0, "to {stage}: {more_bytes} bytes each, up from {bytes}");
        assert!(more_count <= count * 1.2 + 0.1, "to {stage}: {more_count} allocations each, up from {count}");
    }
}

#[test]
fn a_listener_takes_at_most_170_bytes_beside_its_closure_and_an_empty_bus_1_kib() {
    let crowd = 10_000;
    let mut kept = None;
    let empty = measure(|| kept = Some(bus()));
    let bus = kept.unwrap();
    // A closure of 24 bytes: they aren't counted against the bus.
    let captured = [1_u64, 2, 3];
    let listeners = measure(|| {
        for _ in 0..crowd {
            bus.on(move |_: &Event| assert!(std::hint::black_box(captured)[0] == 1)).detach();
        }
    });
    let each = listeners.bytes_current / crowd - 24;
    println!("a listener {each} bytes, an empty bus {} bytes", empty.bytes_current);
    assert!(each <= 170, "{each} bytes");
    assert!(empty.bytes_current <= 1024, "{} bytes", empty.bytes_current);
}

#[test]
fn metrics_take_at_most_500_bytes_of_a_listener_more_and_128_for_a_thread_that_calls_it() {
    let crowd = 1_000;
    let come = |bus: &Emitter| {
        let come = || {
            for _ in 0..crowd {
                listen(bus, 0);
            }
        };
        measure(come).bytes_current / crowd
    };
    let (plain, counting) = (bus(), Emitter::builder().metrics(true).leak_warning(0).build(hearken::panic));
    let more = come(&counting) - come(&plain);
    let emit = |bus: &Emitter| measure(|| assert!(bus.emit(&Event).heard > 0)).bytes_current;
    let a_thread = (emit(&counting) - emit(&plain)) / crowd;
    println!("{more} bytes more, and {a_thread} for a thread");
    assert!(more <= 500, "{more} bytes");
    assert!(a_thread <= 128, "{a_thread} bytes");
}

#[test]
fn emitting_allocates_nothing_once_the_snapshot_is_made() {
    let bus = bus();
    let (_typed, _any) = (listen(&bus, 0), bus.on_any(|_| {}));
    bus.emit(&Event);
    let emits = measure(|| {
        for _ in 0..100 {
            bus.emit(&Event);
        }
    });
    assert_eq!(emits.count_total, 0);
}

#[test]
fn what_nobody_listens_to_and_nobody_traces_is_not_even_noted() {
    struct Nobodys;
    let bus = bus();
    let emits = measure(|| assert_eq!(bus.emit(&Nobodys).heard, 0));
    assert_eq!(emits.count_total, 0);
}
