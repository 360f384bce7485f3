// cure: consider borrowing here
use hearken::Emitter;

struct Order;

fn main() {
    let bus = Emitter::new(hearken::log);
    bus.emit(Order);
}
