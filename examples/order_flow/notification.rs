//! Writes to the customer.

use hearken::{Context, Emitter, Subscription};

use crate::events::{MailSent, Order, OrderRefused, OrderShipped, PaymentDeclined};

pub(crate) struct Notification {
    _hears: Vec<Subscription>,
}

impl Notification {
    pub(crate) fn new(bus: &Emitter) -> Self {
        let shipped = bus.listen().named("notification").on_with(|OrderShipped(order), cx| {
            mail(order, "is on its way", cx);
        });
        let refused = bus.listen().named("notification").on_with(|OrderRefused(order), cx| {
            mail(order, "is out of stock", cx);
        });
        let declined = bus.listen().named("notification").on_with(|PaymentDeclined(order), cx| {
            mail(order, "could not be paid", cx);
        });
        Self { _hears: vec![shipped, refused, declined] }
    }
}

fn mail(order: &Order, news: &str, cx: &Context<'_>) {
    // A bug, and here on purpose: nobody checked the address. It costs the mail, never the order.
    let (_, host) = order.email.split_once('@').expect("an e-mail address has an @");
    send(host, &format!("To: {}\n\nYour order {} {news}.\n", order.email, order.id));
    cx.emitter().emit(&MailSent);
}

/// Stands in for the mail server.
fn send(_host: &str, _mail: &str) {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hearken::Failure;

    use super::*;
    use crate::testing::{lenient_bus, order, strict_bus};

    #[test]
    fn every_end_of_an_order_is_told_by_mail() {
        let bus = strict_bus();
        let sent = bus.record_map(|MailSent| ());
        let _notification = Notification::new(&bus);
        bus.emit(&OrderShipped(order("mug", 1)));
        bus.emit(&OrderRefused(order("mug", 1)));
        bus.emit(&PaymentDeclined(order("mug", 1)));
        assert_eq!(sent.len(), 3);
    }

    #[test]
    fn a_mail_that_cant_be_addressed_is_a_panic_of_the_notification_and_not_sent() {
        let bus = lenient_bus();
        let (sent, failures) = (bus.record_map(|MailSent| ()), bus.record::<Failure>());
        let _notification = Notification::new(&bus);
        let nowhere = Order { email: "ada".to_owned(), ..Arc::into_inner(order("mug", 1)).expect("it is new") };
        bus.emit(&OrderShipped(nowhere.into()));
        sent.assert_none();
        failures.assert_emitted(|failure| {
            failure.to_string().ends_with("an e-mail address has an @")
                && failure.listener().and_then(|listener| listener.name) == Some("notification")
        });
    }
}
