// cure: if you're trying to build a new `Emitter<_>`, consider using `hearken::emitter::<impl Emitter>::new`
use hearken::Emitter;

fn main() {
    let _bus = Emitter::default();
}
