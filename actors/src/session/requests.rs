//! Requests of a session: within their budget, answered at once where that is possible, and beside
//! each other where it is not.

use std::{panic::AssertUnwindSafe, rc::Rc};

use futures_util::FutureExt;
use provost_kernel::{
    liveness::grace_ms,
    session::{Effect, Ending, Input},
};
use provost_protocol::{
    Code, Problem,
    wire::{Answer, Outcome, Request, ServerMessage},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Life;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Life<S> {
    pub(super) fn on_request(&mut self, mut request: Request) -> Option<Ending> {
        // Before any mailbox. No budget is used up before Hello: a request out of turn stays one.
        if let Err(problem) = self.pace.admit(&request.operation) {
            let outcome = Outcome::Refused(problem.correlated(request.correlation_id));
            let id = request.id;
            self.stream
                .push(&ServerMessage::Answer(Answer { id, outcome }));
            return None;
        }
        let id = request.id;
        let effects = self.machine.handle(&Input::Request { id }, self.now());
        if effects.as_slice() != [Effect::Serve { id }] {
            return effects.into_iter().find_map(|effect| self.perform(effect));
        }
        if let Some(interests) = &mut self.interests {
            interests.want(request.tenant);
        }
        match self.answer_at_once(&mut request) {
            Some(outcome) => self.on_answer(Answer { id, outcome }),
            None => {
                self.ask(request);
                None
            }
        }
    }

    /// An answer is ready: it waits to be written with others.
    pub(super) fn on_answer(&mut self, answer: Answer) -> Option<Ending> {
        // Who was told to beat later is borne for longer.
        if let Outcome::Beat(beat) = &answer.outcome {
            let grace_ms = grace_ms(beat.heartbeat_interval_ms);
            self.machine.set_grace(grace_ms, self.now());
        }
        let over = ends_the_session(&answer);
        self.stream.push(&ServerMessage::Answer(answer));
        self.act(if over {
            &Input::Revoked
        } else {
            &Input::Answered
        })
    }

    fn answer_at_once(&self, request: &mut Request) -> Option<Outcome> {
        let kept = &self.opened.as_ref()?.kept;
        // A call that fails is its own: whatever panicked is asked again beside the session.
        let answer = || self.gateway.at_once(&self.peer, kept, request);
        std::panic::catch_unwind(AssertUnwindSafe(answer)).ok()?
    }

    /// Answers come in the order in which they are ready, not in which they were asked.
    fn ask(&mut self, request: Request) {
        let (gateway, peer) = (self.gateway.clone(), Rc::clone(&self.peer));
        let answers = self.sources.answer();
        drop(actix::spawn(async move {
            let Request {
                id,
                correlation_id,
                tenant,
                operation,
            } = request;
            let call = gateway.call(&peer, tenant, correlation_id, operation);
            // Every request is answered, or its place would be taken for as long as the session.
            let outcome = AssertUnwindSafe(call).catch_unwind().await;
            let outcome = outcome
                .unwrap_or_else(|_| Err(Problem::new(Code::Internal, "the call failed")))
                .unwrap_or_else(|problem| Outcome::Refused(problem.correlated(correlation_id)));
            let _ = answers.send(Box::new(Answer { id, outcome })).await;
        }));
    }
}

/// Whose certificate or runtime is refused now is refused whatever it asks next.
fn ends_the_session(answer: &Answer) -> bool {
    let refused = [Code::RuntimeRevoked, Code::CertificateRefused];
    matches!(&answer.outcome, Outcome::Refused(problem) if refused.contains(&problem.code))
}
