// cure at bus.on in src/emitter.rs: share it in an `Arc`, not an `Rc`
use std::rc::Rc;

use hearken::Emitter;

struct Order(u64);

fn main() {
    let bus = Emitter::new(hearken::log);
    let shop = Rc::new("shop");
    let _hears = bus.on(move |order: &Order| println!("{shop}: {}", order.0));
}
