//! The steps of random histories, and their commands.

use maitred_core::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use super::model::{Model, SALES};
use super::{PRODUCT, euros};

#[derive(Debug, Clone, Copy)]
pub(super) enum Advance {
    Complete,
    Fail,
    Expire,
    Pay,
    Cancel,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Create {
        sale: usize,
        starts_in: i64,
        length: i64,
        quantity: u32,
        limit: u32,
        hold: Option<u32>,
    },
    Quantity {
        sale: usize,
        quantity: u32,
    },
    Close {
        sale: usize,
        closing: Closing,
    },
    Reset {
        sale: usize,
        length: i64,
        left: u32,
    },
    Inventory {
        inventory: u32,
    },
    Buy {
        sale: usize,
        buyer: u32,
    },
    Order {
        order: usize,
        to: Advance,
    },
    /// Whatever timers say is due is done.
    Sweep,
    /// Time passes.
    Wait {
        seconds: i64,
    },
}

pub(super) fn buyer_id(buyer: u32) -> Uuid {
    Uuid::from_u128(0x100 + u128::from(buyer))
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let hold = proptest::option::of(1_u32..12);
    let create = (0_usize..2, -3_i64..4, 1_i64..40, 0_u32..5, 1_u32..4, hold).prop_map(
        |(sale, starts_in, length, quantity, limit, hold)| Step::Create {
            sale,
            starts_in,
            length,
            quantity,
            limit,
            hold,
        },
    );
    let advance = prop_oneof![
        Just(Advance::Complete),
        Just(Advance::Fail),
        Just(Advance::Expire),
        Just(Advance::Pay),
        Just(Advance::Cancel)
    ];
    let closing = prop_oneof![Just(Closing::Ended), Just(Closing::Cancelled)];
    prop_oneof![
        3 => create,
        2 => (0_usize..2, 0_u32..6).prop_map(|(sale, quantity)| Step::Quantity { sale, quantity }),
        1 => (0_usize..2, closing).prop_map(|(sale, closing)| Step::Close { sale, closing }),
        2 => (0_usize..2, 1_i64..20, 0_u32..5)
            .prop_map(|(sale, length, left)| Step::Reset { sale, length, left }),
        1 => (0_u32..9).prop_map(|inventory| Step::Inventory { inventory }),
        12 => (0_usize..2, 0_u32..4).prop_map(|(sale, buyer)| Step::Buy { sale, buyer }),
        6 => (0_usize..8, advance).prop_map(|(order, to)| Step::Order { order, to }),
        2 => Just(Step::Sweep),
        3 => (0_i64..8).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// The command of a step that is decided at an instant.
pub(super) fn command(step: &Step, model: &Model, at: Timestamp) -> Command {
    match *step {
        Step::Create { sale, starts_in, length, quantity, limit, hold } => {
            let starts_at = Timestamp::from_micros(at.as_micros() + starts_in * 1_000_000);
            Command::CreateSale(CreateSale {
                id: Some(SALES[sale]),
                product: PRODUCT,
                starts_at,
                ends_at: Timestamp::from_micros(starts_at.as_micros() + length * 1_000_000),
                quantity,
                buyer_limit: limit,
                hold_seconds: hold,
                price: Some(euros(5)),
            })
        }
        Step::Quantity { sale, quantity } => {
            let patch = SalePatch { quantity: Some(quantity), ..SalePatch::default() };
            Command::UpdateSale(UpdateSale { sale: SALES[sale], patch, if_version: None })
        }
        Step::Reset { sale, length, left } => Command::ResetSale(ResetSale {
            sale: SALES[sale],
            starts_at: at,
            ends_at: Timestamp::from_micros(at.as_micros() + length * 1_000_000),
            left,
        }),
        Step::Close { sale, closing: Closing::Ended } => {
            Command::EndSale { sale: SALES[sale], if_version: None }
        }
        Step::Close { sale, closing: Closing::Cancelled } => {
            Command::CancelSale { sale: SALES[sale], if_version: None }
        }
        Step::Inventory { inventory } => super::change(super::inventory(u64::from(inventory))),
        Step::Buy { sale, buyer } => {
            Command::PlaceOrder(PlaceOrder { sale: SALES[sale], buyer: buyer_id(buyer) })
        }
        Step::Order { order, to } => {
            let order = model.orders.get(order).map_or(Uuid::from_u128(1), |order| order.id);
            match to {
                Advance::Complete => Command::CompleteOrder { order },
                Advance::Fail => Command::FailOrder(FailOrder { order, reason: "no".into() }),
                Advance::Expire => Command::ExpireOrder { order },
                Advance::Pay => Command::PayOrder { order, buyer: None, reference: None },
                Advance::Cancel => Command::CancelOrder { order, buyer: None },
            }
        }
        Step::Sweep | Step::Wait { .. } => unreachable!("these are no commands"),
    }
}
