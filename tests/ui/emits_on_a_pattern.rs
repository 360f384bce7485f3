// cure at TopicsRef in src/listen.rs: There is no `emit`: an event is emitted on a topic, not on a pattern.
use hearken::Emitter;

struct Order;

fn main() {
    let bus = Emitter::new(hearken::log);
    bus.topics("order.*").emit(&Order);
}
