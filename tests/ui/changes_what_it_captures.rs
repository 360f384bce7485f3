// cure at bus.on in src/emitter.rs: keep state in an atomic or a mutex
use hearken::Emitter;

struct Order(u64);

fn main() {
    let bus = Emitter::new(hearken::log);
    let mut total = 0;
    let _hears = bus.on(move |order: &Order| {
        total += order.0;
        println!("{total}");
    });
}
