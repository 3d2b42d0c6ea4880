//! What every test stands on: a kernel in a folder of its own, its operator, runtimes, and
//! connectors with a product beside them.

mod answer;
mod connector;
mod idp;
mod kernel;
mod product;
mod runtime;
pub(crate) mod wait;

pub(crate) use self::{
    answer::Answer,
    connector::{Connector, HOUR_MS},
    idp::Idp,
    kernel::{Kernel, Start, provost, say},
    product::Product,
    runtime::{Ask, Runtime},
    wait::{now, until},
};
