// cure: consider giving this closure parameter an explicit type
use hearken::Emitter;

struct Order(u64);

fn main() {
    let bus = Emitter::new(hearken::log);
    let _hears = bus.on(|order| println!("{}", order.0));
    bus.emit(&Order(7));
}
