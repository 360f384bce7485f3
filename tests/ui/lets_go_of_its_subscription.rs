// cure: keep it in a field or a named variable (`let _ =` drops it at once), or call `.detach()`
#![deny(unused_must_use)]
use hearken::Emitter;

struct Order(u64);

fn main() {
    let bus = Emitter::new(hearken::log);
    bus.on(|order: &Order| println!("{}", order.0));
}
