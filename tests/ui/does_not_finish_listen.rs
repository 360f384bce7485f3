// cure: this only chooses: end it with `.on(…)`
#![deny(unused_must_use)]
use hearken::Emitter;

struct Order;

fn main() {
    let bus = Emitter::new(hearken::log);
    bus.listen::<Order>().priority(10);
}
