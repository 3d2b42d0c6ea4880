//! What every test stands on: a kernel in a folder of its own, its operator, and runtimes.

mod answer;
mod idp;
mod kernel;
mod runtime;
mod wait;

pub(crate) use self::{
    answer::Answer,
    idp::Idp,
    kernel::{Kernel, Start, provost, say},
    runtime::{Ask, Runtime},
    wait::{now, until},
};
