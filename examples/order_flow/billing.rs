//! Takes the money.

use std::sync::Arc;

use hearken::{Emitter, Subscription};

use crate::events::{Mishap, OrderPaid, PaymentDeclined, StockReserved};

pub(crate) struct Billing {
    _hears: Vec<Subscription>,
}

impl Billing {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let reserved = bus.listen().named("billing").on_with(|StockReserved { order, cents }, cx| {
            if let Err(reason) = charge(&order.card, *cents) {
                cx.emitter().emit(&PaymentDeclined(Arc::clone(order)));
                return Err(Mishap::CardDeclined { order: order.id, reason }.into());
            }
            cx.emitter().emit(&OrderPaid(Arc::clone(order)));
            Ok(())
        });
        Self { _hears: vec![reserved] }
    }
}

/// Stands in for the bank.
fn charge(card: &str, cents: u64) -> Result<(), &'static str> {
    /// In cents.
    const LIMIT: u64 = 200_000;
    if !(12..=19).contains(&card.len()) || !card.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err("no such card");
    }
    if cents > LIMIT {
        return Err("over its limit");
    }
    Ok(())
}
