// cure: to turn another error into `Box<(dyn std::error::Error + Send + Sync + 'static)>`, use `?` and end with `Ok(())`
use hearken::Emitter;

struct Order;
struct OutOfStock;

fn main() {
    let bus = Emitter::new(hearken::log);
    let _hears = bus.on(|_: &Order| Err::<(), _>(OutOfStock));
}
