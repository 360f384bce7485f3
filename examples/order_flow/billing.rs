//! Takes the money, by a provider that may be out of order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hearken::{BoxError, Emitter, Retry, Subscription};

use crate::events::{Mishap, OrderPaid, PaymentDeclined, StockReserved};

pub(crate) struct Billing {
    _hears: Vec<Subscription>,
}

impl Billing {
    /// How often it asks a flaky provider for the money of one order.
    pub(crate) const ATTEMPTS: u32 = 4;
    /// The longest time between two of these.
    pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(400);

    pub(crate) fn new(bus: &Emitter, provider: Provider) -> Self {
        let mut reserved = bus.listen().named("billing");
        if provider.is_flaky() {
            let retry = Retry::attempts(Self::ATTEMPTS).backoff(Self::LONGEST_PAUSE / 4).max_delay(Self::LONGEST_PAUSE);
            // A card that was declined stays declined.
            reserved = reserved.retry(retry.when(is_outage));
        }
        let reserved = reserved.on_with(move |StockReserved { order, cents }, cx| {
            if provider.is_out_of_order() {
                return Err(Mishap::Outage { order: order.id }.into());
            }
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

fn is_outage(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(Mishap::Outage { .. }))
}

/// How reliable the bank is.
pub(crate) struct Provider {
    /// How many of its answers, of 1, are that it is out of order.
    outages: f64,
    random: AtomicU64,
}

impl Provider {
    pub(crate) fn steady() -> Self {
        Self::flaky(0.0, 0)
    }

    /// The same outages for the same seed.
    pub(crate) fn flaky(outages: f64, seed: u64) -> Self {
        Self { outages, random: seed.into() }
    }

    fn is_flaky(&self) -> bool {
        self.outages > 0.0
    }

    /// The next number of a `SplitMix64`, as a part of all there are.
    fn is_out_of_order(&self) -> bool {
        let seen = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        let mixed = (seen ^ (seen >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "53 bits of it are left")]
        let part = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        part < self.outages
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
    use hearken::{Clock, Emitted, Failure, Recorder, assert_sequence};

    use super::*;
    use crate::events::Order;
    use crate::testing::{lenient_bus, order, strict_bus};

    #[test]
    fn what_is_reserved_is_paid_up_to_the_cards_limit() {
        let bus = strict_bus();
        let paid = bus.record_map(|OrderPaid(order)| order.id);
        let _billing = Billing::new(&bus, Provider::steady());
        bus.emit(&StockReserved { order: order("mug", 1), cents: 200_000 });
        assert_eq!(paid.take(), [7]);
    }

    #[test]
    fn a_card_that_is_declined_is_told_and_is_a_failure_that_says_why() {
        let bus = lenient_bus();
        let seen = bus.record_any();
        let failures = bus.record::<Failure>();
        let _billing = Billing::new(&bus, Provider::steady());
        bus.emit(&StockReserved { order: order("mug", 1), cents: 200_001 });
        assert_sequence!(seen, [StockReserved, PaymentDeclined, Failure]);
        failures.assert_emitted(|failure| failure.to_string().ends_with("order 7: card declined: over its limit"));
    }

    /// What comes of an order, at this rate of outages and with so many pauses between attempts.
    fn charged(outages: f64, order: Arc<Order>, pauses: u32) -> (Emitter, Recorder<Emitted>, Billing) {
        let clock = Clock::manual();
        let bus = Emitter::builder().clock(clock.clone()).build(hearken::ignore);
        let seen = bus.record_any();
        let billing = Billing::new(&bus, Provider::flaky(outages, 3));
        bus.emit(&StockReserved { order, cents: 1 });
        for _ in 0..pauses {
            clock.advance(Billing::LONGEST_PAUSE);
            bus.drain();
        }
        (bus, seen, billing)
    }

    #[test]
    fn an_outage_is_no_failure_before_the_last_attempt_and_then_the_order_waits_for_a_person() {
        for pauses in 0..Billing::ATTEMPTS - 1 {
            let (bus, seen, _billing) = charged(1.0, order("mug", 1), pauses);
            assert_sequence!(seen, [StockReserved]);
            assert!(bus.dead_letters().is_empty());
        }
        let (bus, seen, _billing) = charged(1.0, order("mug", 1), Billing::ATTEMPTS - 1);
        assert_sequence!(seen, [StockReserved, Failure]);
        let letters: Vec<_> = bus.dead_letters().iter().map(|letter| letter.to_string()).collect();
        assert!(letters.len() == 1 && letters[0].ends_with("is out of order; 4 attempts"), "{letters:?}");
    }

    #[test]
    fn what_a_later_attempt_gets_is_paid_and_told_once() {
        let (_bus, seen, _billing) = charged(0.5, order("mug", 1), 0);
        assert_sequence!(seen, [StockReserved]);
        let (bus, seen, _billing) = charged(0.5, order("mug", 1), Billing::ATTEMPTS - 1);
        assert_sequence!(seen, [StockReserved, OrderPaid]);
        assert!(bus.dead_letters().is_empty());
    }

    #[test]
    fn a_declined_card_is_not_tried_again() {
        let order = Order { card: String::new(), ..Arc::into_inner(order("mug", 1)).expect("it is new") };
        let (_bus, seen, _billing) = charged(f64::MIN_POSITIVE, order.into(), Billing::ATTEMPTS);
        assert_sequence!(seen, [StockReserved, PaymentDeclined, Failure]);
    }

    #[test]
    fn a_provider_is_out_of_order_as_often_as_said_and_the_same_for_the_same_seed() {
        let outages = |rate, seed| {
            let provider = Provider::flaky(rate, seed);
            (0..1_000).map(|_| provider.is_out_of_order()).collect::<Vec<_>>()
        };
        let count = |rate| outages(rate, 1).iter().filter(|is_out| **is_out).count();
        assert_eq!((count(0.0), count(1.0)), (0, 1_000));
        assert!((250..350).contains(&count(0.3)), "{}", count(0.3));
        assert_eq!(outages(0.5, 7), outages(0.5, 7));
        assert_ne!(outages(0.5, 7), outages(0.5, 8));
    }

    #[test]
    fn what_is_no_card_is_declined() {
        let bus = lenient_bus();
        let declined = bus.record_map(|PaymentDeclined(order)| order.card.clone());
        let failures = bus.record::<Failure>();
        let _billing = Billing::new(&bus, Provider::steady());
        for card in ["", "12345678901", "4929x00000000006", "12345678901234567890"] {
            let order = Order { card: card.to_owned(), ..Arc::into_inner(order("mug", 1)).expect("it is new") };
            bus.emit(&StockReserved { order: order.into(), cents: 1 });
            assert_eq!(declined.take(), [card]);
            failures.assert_emitted(|failure| failure.to_string().ends_with("no such card"));
            failures.take();
        }
    }
}
