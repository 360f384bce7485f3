// cure: to throw a value away, end the closure's body with `;`
use hearken::Emitter;

struct Order(u64);

fn main() {
    let bus = Emitter::new(hearken::log);
    let _hears = bus.on(|order: &Order| order.0);
}
