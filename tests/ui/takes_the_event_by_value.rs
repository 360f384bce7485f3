// cure: consider adjusting the signature so it borrows its argument
use hearken::Emitter;

struct Order(u64);

fn main() {
    let bus = Emitter::new(hearken::log);
    let _hears = bus.on(|order: Order| println!("{}", order.0));
}
