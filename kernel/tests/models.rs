//! Every machine of the kernel against a naive model of its own, and two properties of the whole.
//!
//! Each model is shown to catch a planted bug: `kernel/mutants.sh` plants each bug of
//! `kernel/mutants.txt` in the kernel and expects the model named there to fail. A failing case prints its
//! inputs and a seed; the seed goes to a `.proptest-regressions` file beside the model, and is kept.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "models/delivery.rs"]
mod delivery;
#[path = "models/desired.rs"]
mod desired;
#[path = "models/directives.rs"]
mod directives;
#[path = "models/history.rs"]
mod history;
#[path = "models/license.rs"]
mod license;
#[path = "models/liveness.rs"]
mod liveness;
#[path = "models/quota.rs"]
mod quota;
#[path = "models/rebuild.rs"]
mod rebuild;
#[path = "models/rules.rs"]
mod rules;
#[path = "models/runtime.rs"]
mod runtime;
#[path = "models/session.rs"]
mod session;
#[path = "models/tenant.rs"]
mod tenant;
#[path = "models/verdict.rs"]
mod verdict;
#[path = "models/window.rs"]
mod window;
#[path = "models/world.rs"]
mod world;
