//! Requests of a session: within their budget, answered at once where that is possible, and beside
//! each other where it is not.

use std::{panic::AssertUnwindSafe, rc::Rc};

use futures_util::FutureExt;
use provost_kernel::{
    liveness::grace_ms,
    session::{Effect, Effects, Ending, Input},
};
use provost_protocol::{
    Code, Problem, Timestamp,
    wire::{Answer, Outcome, Request, ServerMessage},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Life, taking::Moment};
use crate::is_final_refusal;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Life<S> {
    pub(super) fn on_request(&mut self, mut request: Request, came: Moment) -> Option<Ending> {
        // Before any mailbox. No budget is used up before Hello: a request out of turn stays one.
        if let Err(problem) = self.pace.admit(&request.operation, came.instant) {
            let outcome = Outcome::Refused(problem.correlated(request.correlation_id));
            let id = request.id;
            self.stream
                .push(&ServerMessage::Answer(Answer { id, outcome }));
            return None;
        }
        let id = request.id;
        let lived = self.lived(came.instant);
        let effects = self.machine.handle(&Input::Request { id }, lived);
        if effects != Effects::one(Effect::Serve { id }) {
            return effects.into_iter().find_map(|effect| self.perform(effect));
        }
        if let Some(interests) = &mut self.interests {
            interests.want(request.tenant);
        }
        match self.answer_at_once(&mut request, came.time) {
            Some(outcome) => self.on_answer(Answer { id, outcome }, lived),
            None => {
                self.ask(request);
                None
            }
        }
    }

    /// An answer is ready, in the machine's time: it waits to be written with others.
    pub(super) fn on_answer(&mut self, answer: Answer, now: Timestamp) -> Option<Ending> {
        // Who was told to beat later is borne for longer.
        if let Outcome::Beat(beat) = &answer.outcome {
            let grace_ms = grace_ms(beat.heartbeat_interval_ms);
            self.machine.set_grace(grace_ms, now);
        }
        let last = last_word(&answer);
        self.stream.push(&ServerMessage::Answer(answer));
        match last {
            None => self.act_at(&Input::Answered, now),
            Some(problem) if problem.code == Code::RuntimeRevoked => {
                self.act_at(&Input::Revoked, now)
            }
            Some(problem) => Some(self.refuse(problem)),
        }
    }

    /// The certificate is refused, and not the runtime: it comes back with another.
    pub(super) fn refuse(&mut self, problem: Problem) -> Ending {
        self.stream.push(&ServerMessage::Refused(problem));
        Ending::Revoked
    }

    fn answer_at_once(&mut self, request: &mut Request, now: Timestamp) -> Option<Outcome> {
        let (gateway, peer) = (&self.gateway, &*self.peer);
        let kept = &mut self.opened.as_mut()?.kept;
        // A call that fails is its own: whatever panicked is asked again beside the session.
        let answer = || gateway.at_once(peer, kept, request, now);
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

/// The refusal after which nothing is answered any more.
fn last_word(answer: &Answer) -> Option<Problem> {
    match &answer.outcome {
        Outcome::Refused(problem) if is_final_refusal(problem.code) => Some(problem.clone()),
        _ => None,
    }
}
