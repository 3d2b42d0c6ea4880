//! `/v1/tenants/{tenant_id}/runtimes/{runtime_id}/recovery`: an operator's word for a runtime whose
//! certificate has ended.

use provost_kernel::{Command, command::AllowRecovery};

use super::{
    auth::Needs,
    reach::Act,
    routes::{Method, Route},
    runtimes::change,
};

pub(super) const ROUTES: &[Route] = &[Route {
    method: Method::Post,
    path: "/v1/tenants/{tenant_id}/runtimes/{runtime_id}/recovery",
    id: "allow_recovery",
    about: "Lets a runtime whose certificate has ended recover once, within 24 hours.",
    needs: Needs::Write,
    body: Some("Reason"),
    answer: (200, "Runtime"),
    query: &[],
    handler: |admin, call| {
        let command = |runtime, reason| Command::AllowRecovery(AllowRecovery { runtime, reason });
        Box::pin(change(admin, call, Act::Govern, command))
    },
}];
