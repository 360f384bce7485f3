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
