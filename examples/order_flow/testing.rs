//! What the tests of the modules share.

use std::num::NonZeroU32;
use std::sync::Arc;

use hearken::Emitter;

use crate::events::{Line, Order};

/// A bus on which nothing may fail.
pub(crate) fn strict_bus() -> Emitter {
    Emitter::new(hearken::panic)
}

/// A bus for tests in which something is to fail: they record the failures.
pub(crate) fn lenient_bus() -> Emitter {
    Emitter::new(hearken::ignore)
}

/// Order number 7, with a card that is good for 2,000.00.
pub(crate) fn order(product: &str, quantity: u32) -> Arc<Order> {
    Arc::new(Order {
        id: 7,
        product: product.to_owned(),
        quantity: NonZeroU32::new(quantity).expect("an order is of something"),
        card: "4929000000000006".to_owned(),
        email: "ada@example.org".to_owned(),
    })
}

/// The first line of an input.
pub(crate) fn line(text: &str) -> Line {
    Line { number: 1, bytes: text.as_bytes().to_vec(), is_cut: false }
}
