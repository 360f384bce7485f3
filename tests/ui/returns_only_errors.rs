// cure at IntoFlow in src/flow.rs: A listener that never returns `Ok` leaves open which `Result` it means: write `Err::<(), _>(…)`.
use hearken::Emitter;

struct Order;

fn main() {
    let bus = Emitter::new(hearken::log);
    let _hears = bus.on(|_: &Order| Err("sold out".into()));
}
