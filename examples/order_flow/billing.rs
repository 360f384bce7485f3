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

#[cfg(test)]
mod tests {
    use hearken::{Failure, assert_sequence};

    use super::*;
    use crate::events::Order;
    use crate::testing::{lenient_bus, order, strict_bus};

    #[test]
    fn what_is_reserved_is_paid_up_to_the_cards_limit() {
        let bus = strict_bus();
        let paid = bus.record_map(|OrderPaid(order)| order.id);
        let _billing = Billing::new(&bus);
        bus.emit(&StockReserved { order: order("mug", 1), cents: 200_000 });
        assert_eq!(paid.take(), [7]);
    }

    #[test]
    fn a_card_that_is_declined_is_told_and_is_a_failure_that_says_why() {
        let bus = lenient_bus();
        let seen = bus.record_any();
        let failures = bus.record::<Failure>();
        let _billing = Billing::new(&bus);
        bus.emit(&StockReserved { order: order("mug", 1), cents: 200_001 });
        assert_sequence!(seen, [StockReserved, PaymentDeclined, Failure]);
        failures.assert_emitted(|failure| failure.to_string().ends_with("order 7: card declined: over its limit"));
    }

    #[test]
    fn what_is_no_card_is_declined() {
        let bus = lenient_bus();
        let declined = bus.record_map(|PaymentDeclined(order)| order.card.clone());
        let failures = bus.record::<Failure>();
        let _billing = Billing::new(&bus);
        for card in ["", "12345678901", "4929x00000000006", "12345678901234567890"] {
            let order = Order { card: card.to_owned(), ..Arc::into_inner(order("mug", 1)).expect("it is new") };
            bus.emit(&StockReserved { order: order.into(), cents: 1 });
            assert_eq!(declined.take(), [card]);
            failures.assert_emitted(|failure| failure.to_string().ends_with("no such card"));
            failures.take();
        }
    }
}
