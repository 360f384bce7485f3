//! The modules of the example `order_flow`: each alone, in the tests at the end of its file, and here together. What they are tested by is what
//! they tell on the bus. A program of its own, because `tests/order_flow.rs` needs the example as it is.
//!
//! ```sh
//! cargo test --test order_flow_modules
//! ```

#![allow(dead_code, reason = "`main.rs` uses the rest")]

mod audit;
mod billing;
mod events;
mod input;
mod intake;
mod inventory;
mod notification;
mod report;
mod testing;

use hearken::{Emitter, Failure, assert_sequence};

use crate::billing::{Billing, Provider};
use crate::events::{
    Line, MailSent, OrderPaid, OrderPlaced, OrderRefused, OrderShipped, PaymentDeclined, StockReserved,
};
use crate::intake::Intake;
use crate::inventory::Inventory;
use crate::notification::Notification;
use crate::testing::{lenient_bus, line, strict_bus};

fn json(product: &str, quantity: u32) -> Line {
    line(&format!(
        r#"{{"id":7,"product":"{product}","quantity":{quantity},"card":"4929000000000006","email":"ada@example.org"}}"#
    ))
}

fn shop(bus: &Emitter) -> (Intake, Inventory, Billing, Notification) {
    (Intake::new(bus), Inventory::new(bus), Billing::new(bus, Provider::steady()), Notification::new(bus))
}

#[test]
fn an_order_goes_from_a_line_to_the_mail_that_it_is_on_its_way() {
    let bus = strict_bus();
    let seen = bus.record_any();
    let _shop = shop(&bus);
    bus.emit(&json("mug", 2));
    assert_sequence!(seen, [Line, OrderPlaced, StockReserved, OrderPaid, OrderShipped, MailSent]);
    let (first, all) = (seen.events()[0].id, seen.take());
    assert!(all.iter().all(|emitted| emitted.origin == first), "one line set it all going");
}

#[test]
fn an_order_that_is_out_of_stock_costs_nothing() {
    let bus = strict_bus();
    let seen = bus.record_any();
    let _shop = shop(&bus);
    bus.emit(&json("teapot", 4));
    assert_sequence!(seen, [Line, OrderPlaced, OrderRefused, MailSent]);
}

#[test]
fn an_order_that_cant_be_paid_goes_back_on_the_shelf_for_the_next_one() {
    let bus = lenient_bus();
    let seen = bus.record_any();
    let _shop = shop(&bus);
    // Five samovars are over the card's limit, and all there are; four are not.
    bus.emit(&json("samovar", 5));
    assert_sequence!(seen, [Line, OrderPlaced, StockReserved, PaymentDeclined, MailSent, Failure]);
    seen.take();
    bus.emit(&json("samovar", 4));
    assert_sequence!(seen, [Line, .., OrderShipped, MailSent]);
}

#[test]
fn while_payment_is_kept_out_nothing_is_shipped() {
    let bus = strict_bus();
    let _shop = shop(&bus);
    let shipped = bus.record_map(|OrderShipped(order)| order.id);
    let paid = bus.intercept_map(|OrderPaid(order)| order.id);
    bus.emit(&json("mug", 1));
    assert_eq!(paid.take(), [7]);
    shipped.assert_none();
}
