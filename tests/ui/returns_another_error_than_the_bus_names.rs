// cure: to turn another error into `ShopError`, use `?` and end with `Ok(())`
use hearken::Builder;

struct Order;
struct OutOfStock;
struct ShopError;

fn main() {
    let bus = Builder::<ShopError>::new().build(hearken::ignore);
    let _hears = bus.on(|_: &Order| Err::<(), _>(OutOfStock));
}
