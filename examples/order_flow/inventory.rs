//! Keeps the goods: puts them aside, puts them back, ships them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use hearken::{Emitter, Subscription};

use crate::events::{
    Mishap, Order, OrderPaid, OrderPlaced, OrderRefused, OrderShipped, PaymentDeclined, StockReserved,
};

/// Product, price in cents, pieces in stock.
const GOODS: [(&str, u32, u32); 4] =
    [("mug", 950, 1_000_000), ("plate", 1_200, 1_000_000), ("teapot", 3_900, 3), ("samovar", 48_000, 5)];

pub(crate) struct Inventory {
    _hears: Vec<Subscription>,
}

impl Inventory {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let warehouse = Arc::new(Warehouse::new());
        let placed = bus.listen().named("inventory").on_with({
            let warehouse = Arc::clone(&warehouse);
            move |OrderPlaced(order), cx| {
                let shelf = warehouse.shelf(order)?;
                if shelf.take(order) {
                    // Everything else that happens to this order happens inside of this call.
                    cx.emitter().emit(&StockReserved { order: Arc::clone(order), cents: shelf.price(order) });
                } else {
                    cx.emitter().emit(&OrderRefused(Arc::clone(order)));
                }
                Ok(())
            }
        });
        let declined = bus.listen().named("inventory").on(move |PaymentDeclined(order)| {
            warehouse.shelf(order)?.put_back(order);
            Ok(())
        });
        let paid = bus.listen().named("inventory").on_with(|OrderPaid(order), cx| {
            cx.emitter().emit(&OrderShipped(Arc::clone(order)));
        });
        Self { _hears: vec![placed, declined, paid] }
    }
}

struct Warehouse {
    shelves: HashMap<&'static str, Shelf>,
}

impl Warehouse {
    fn new() -> Self {
        let shelf = |(product, cents, pieces)| (product, Shelf { cents, pieces: AtomicU32::new(pieces) });
        Self { shelves: GOODS.into_iter().map(shelf).collect() }
    }

    fn shelf(&self, order: &Order) -> Result<&Shelf, Mishap> {
        let unknown = || Mishap::UnknownProduct { order: order.id, product: order.product.clone() };
        self.shelves.get(&*order.product).ok_or_else(unknown)
    }
}

struct Shelf {
    cents: u32,
    pieces: AtomicU32,
}

impl Shelf {
    /// False, and nothing taken, if there isn't enough.
    fn take(&self, order: &Order) -> bool {
        self.pieces.fetch_update(Relaxed, Relaxed, |pieces| pieces.checked_sub(order.quantity.get())).is_ok()
    }

    fn put_back(&self, order: &Order) {
        self.pieces.fetch_add(order.quantity.get(), Relaxed);
    }

    fn price(&self, order: &Order) -> u64 {
        u64::from(self.cents) * u64::from(order.quantity.get())
    }
}

#[cfg(test)]
mod tests {
    use hearken::{Failure, assert_sequence};

    use super::*;
    use crate::testing::{lenient_bus, order, strict_bus};

    #[test]
    fn an_order_of_what_is_there_is_reserved_at_its_price() {
        let bus = strict_bus();
        let reserved = bus.record_map(|reserved: &StockReserved| (reserved.order.id, reserved.cents));
        let _inventory = Inventory::new(&bus);
        bus.emit(&OrderPlaced(order("teapot", 2)));
        assert_eq!(reserved.take(), [(7, 2 * 3_900)]);
    }

    #[test]
    fn an_order_of_more_than_there_is_is_refused_and_takes_nothing() {
        let bus = strict_bus();
        let seen = bus.record_any();
        let _inventory = Inventory::new(&bus);
        bus.emit(&OrderPlaced(order("teapot", 4)));
        bus.emit(&OrderPlaced(order("teapot", 3)));
        bus.emit(&OrderPlaced(order("teapot", 1)));
        assert_sequence!(seen, [OrderPlaced, OrderRefused, OrderPlaced, StockReserved, OrderPlaced, OrderRefused]);
    }

    #[test]
    fn what_was_not_paid_is_there_for_the_next_order() {
        let bus = strict_bus();
        let reserved = bus.record_map(|reserved: &StockReserved| reserved.cents);
        let _inventory = Inventory::new(&bus);
        let all = order("teapot", 3);
        bus.emit(&OrderPlaced(Arc::clone(&all)));
        bus.emit(&PaymentDeclined(Arc::clone(&all)));
        bus.emit(&OrderPlaced(all));
        assert_eq!(reserved.len(), 2);
    }

    #[test]
    fn what_is_paid_is_shipped() {
        let bus = strict_bus();
        let shipped = bus.record_map(|OrderShipped(order)| order.id);
        let _inventory = Inventory::new(&bus);
        bus.emit(&OrderPaid(order("mug", 1)));
        assert_eq!(shipped.take(), [7]);
    }

    #[test]
    fn an_unknown_product_is_a_failure() {
        let bus = lenient_bus();
        let seen = bus.record_any();
        let failures = bus.record::<Failure>();
        let _inventory = Inventory::new(&bus);
        bus.emit(&OrderPlaced(order("moon", 1)));
        failures.assert_emitted(|failure| failure.to_string().ends_with("order 7: unknown product \"moon\""));
        assert_sequence!(seen, [OrderPlaced, Failure]);
    }
}
