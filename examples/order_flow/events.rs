//! What the modules say to one another. It is all that they share.

use std::num::NonZeroU32;
use std::str::Utf8Error;
use std::sync::Arc;

use serde::Deserialize;

/// A line of the input, whatever is in it.
#[derive(Default)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    /// It was longer than `LONGEST`; the rest is not in `bytes`.
    pub(crate) is_cut: bool,
}

impl Line {
    /// In bytes. Without a limit, a file without line breaks would have to fit into memory.
    pub(crate) const LONGEST: usize = 64 * 1024;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) product: String,
    pub(crate) quantity: NonZeroU32,
    pub(crate) card: String,
    pub(crate) email: String,
}

pub(crate) struct BlankLine;

pub(crate) struct OrderPlaced(pub(crate) Arc<Order>);

/// There is not enough of the product in stock.
pub(crate) struct OrderRefused(pub(crate) Arc<Order>);

/// The goods are put aside for this order, at this price.
#[derive(Clone)]
pub(crate) struct StockReserved {
    pub(crate) order: Arc<Order>,
    pub(crate) cents: u64,
}

pub(crate) struct PaymentDeclined(pub(crate) Arc<Order>);

pub(crate) struct OrderPaid(pub(crate) Arc<Order>);

pub(crate) struct OrderShipped(pub(crate) Arc<Order>);

pub(crate) struct MailSent;

/// Why a line came to nothing. No event but an error: it goes to the bus's error channel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mishap {
    #[error("not an order: {0}")]
    Malformed(String),
    #[error("not UTF-8: {0}")]
    NotUtf8(#[from] Utf8Error),
    #[error("order {order}: unknown product {product:?}")]
    UnknownProduct { order: u64, product: String },
    #[error("order {order}: card declined: {reason}")]
    CardDeclined { order: u64, reason: &'static str },
    #[error("order {order}: the payment provider is out of order")]
    Outage { order: u64 },
}
