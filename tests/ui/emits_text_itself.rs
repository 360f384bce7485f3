// cure at bus.emit in src/emitter.rs: text is emitted as `&"text"`
use hearken::Emitter;

fn main() {
    let bus = Emitter::new(hearken::log);
    bus.emit("text");
}
