//! What is asked over frames, and what counts as an answer to it.

use anyhow::Context as _;
use provost_protocol::{
    Code, CorrelationId, codec,
    wire::{Answer, Check, ClientMessage, Operation, Outcome, Request, ServerMessage},
};

use super::{Server, wire::beat_request};
use crate::{
    now,
    world::{self, Member},
};

/// One question, written once.
#[derive(Debug)]
pub(super) struct Question {
    frame: Vec<u8>,
    good: Good,
    /// The last good answer: what stands before its number, and after.
    known: Vec<u8>,
}

/// What a good answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Good {
    Verdict {
        allowed: bool,
    },
    Beat,
    License,
    /// These bytes but for the number.
    Same,
}

/// How an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    Good,
    /// Come back later.
    Refused,
}

impl Question {
    /// Everything that one member asks of a server.
    pub(super) fn all(server: Server, member: &Member) -> anyhow::Result<Vec<Self>> {
        match server {
            Server::Checks => checks(member, |allowed| Good::Verdict { allowed }),
            // Its verdict is ready and the same for all.
            Server::Codec => checks(member, |_| Good::Verdict { allowed: true }),
            Server::Beats => Ok(vec![Self::new(
                &beat_request(FIRST_ID, member.tenant),
                Good::Beat,
            )?]),
            Server::Echo {
                answer_bytes,
                beats,
            } => {
                let mut all = if beats {
                    let beat = beat_request(FIRST_ID, member.tenant);
                    vec![Self::new(&beat, Good::Same)?]
                } else {
                    checks(member, |_| Good::Same)?
                };
                for question in &mut all {
                    let echo = crate::floor::echoed(&question.frame[LENGTH..], answer_bytes);
                    question.known = without_number(&echo);
                }
                Ok(all)
            }
            Server::Licenses => {
                let pull = ClientMessage::Request(Request {
                    id: FIRST_ID,
                    correlation_id: CorrelationId::from_parts(now(), rand::random()),
                    tenant: member.tenant,
                    operation: Operation::PullLicense,
                });
                Ok(vec![Self::new(&pull, Good::License)?])
            }
            Server::Https | Server::Handler => anyhow::bail!("not asked over frames"),
        }
    }

    fn new(message: &ClientMessage, good: Good) -> anyhow::Result<Self> {
        let frame = codec::encode_frame(message)?;
        let number = frame.get(LENGTH + NUMBER_AT..LENGTH + NUMBER_AT + NUMBER_BYTES);
        anyhow::ensure!(
            number == Some(FIRST_ID.to_le_bytes().as_slice()),
            "a request's number stands elsewhere: the codec has changed"
        );
        Ok(Self {
            frame,
            good,
            known: Vec::new(),
        })
    }

    /// Appends the question under a number to what is to be sent.
    pub(super) fn ask(&self, id: u64, out: &mut Vec<u8>) {
        let number = out.len() + LENGTH + NUMBER_AT;
        out.extend_from_slice(&self.frame);
        out[number..number + NUMBER_BYTES].copy_from_slice(&id.to_le_bytes());
    }

    /// Judges the answer that has this question's number; `Err` where it is wrong.
    pub(super) fn judge(&mut self, body: &[u8]) -> anyhow::Result<Judged> {
        let after = &body[NUMBER_AT + NUMBER_BYTES..];
        let known = self.known.split_at_checked(NUMBER_AT);
        if known.is_some_and(|(head, rest)| head == &body[..NUMBER_AT] && rest == after) {
            return Ok(Judged::Good);
        }
        let ServerMessage::Answer(Answer { outcome, .. }) = codec::decode(body)? else {
            anyhow::bail!("no answer: {body:?}");
        };
        match (&outcome, &self.good) {
            (Outcome::Checked(verdict), Good::Verdict { allowed })
                if verdict.allowed == *allowed => {}
            (Outcome::Beat(_), Good::Beat) | (Outcome::License(_), Good::License) => {}
            (Outcome::Refused(problem), _)
                if [Code::RateLimited, Code::Overloaded].contains(&problem.code) =>
            {
                return Ok(Judged::Refused);
            }
            _ => anyhow::bail!("asked for {:?}, got {outcome:?}", self.good),
        }
        self.known = without_number(body);
        Ok(Judged::Good)
    }

    /// Length of the last good answer, with its length field.
    pub(super) fn answer_bytes(&self) -> usize {
        LENGTH + NUMBER_BYTES + self.known.len()
    }
}

/// The number of the question that a frame answers; `None` where it is no answer.
pub(super) fn number(body: &[u8]) -> anyhow::Result<Option<u64>> {
    if body.get(1) != Some(&ANSWER) {
        return match codec::decode(body)? {
            ServerMessage::Directive(_) => Ok(None),
            other => anyhow::bail!("no answer: {other:?}"),
        };
    }
    let bytes = body
        .get(NUMBER_AT - 1..)
        .context("a frame without a number")?;
    let (&mark, bytes) = bytes.split_first().context("a frame without a number")?;
    let number = bytes.first_chunk::<NUMBER_BYTES>();
    anyhow::ensure!(mark == LONG_NUMBER, "a number that was not asked");
    Ok(Some(u64::from_le_bytes(*number.context("half a number")?)))
}

fn checks(member: &Member, good: impl Fn(bool) -> Good) -> anyhow::Result<Vec<Question>> {
    let correlation_id = CorrelationId::from_parts(now(), rand::random());
    let check = |(feature, allowed)| {
        let request = ClientMessage::Request(Request {
            id: FIRST_ID,
            correlation_id,
            tenant: member.tenant,
            operation: Operation::Check(Check {
                feature,
                consume: None,
                idempotency: None,
            }),
        });
        Question::new(&request, good(allowed))
    };
    world::questions().map(check).collect()
}

fn without_number(body: &[u8]) -> Vec<u8> {
    [&body[..NUMBER_AT], &body[NUMBER_AT + NUMBER_BYTES..]].concat()
}

/// The first number: so high that the codec writes all that follow in the same 8 bytes.
pub(super) const FIRST_ID: u64 = 1 << 40;

/// The length field in front of a frame.
const LENGTH: usize = codec::LENGTH_BYTES;

/// In a body: format version, message, and the mark of a long number stand before.
const NUMBER_AT: usize = 3;
const NUMBER_BYTES: usize = 8;

/// The second of `ServerMessage`'s variants, and of `ClientMessage`'s.
const ANSWER: u8 = 1;

/// What bincode writes before a number of 8 bytes.
const LONG_NUMBER: u8 = 253;

#[cfg(test)]
mod tests {
    use provost_protocol::verdict::{Reason, Verdict};

    use super::*;

    fn question(good: Good) -> Question {
        let request = beat_request(
            FIRST_ID,
            "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        );
        Question::new(&request, good).unwrap()
    }

    fn answer(id: u64, allowed: bool) -> Vec<u8> {
        let verdict = Verdict {
            allowed,
            ..Verdict::denied(Reason::Entitled)
        };
        let outcome = Outcome::Checked(verdict);
        codec::encode(&ServerMessage::Answer(Answer { id, outcome })).unwrap()
    }

    #[test]
    fn a_wrong_verdict_is_wrong_however_often_the_right_one_was_seen() {
        let mut question = question(Good::Verdict { allowed: true });
        for id in FIRST_ID..FIRST_ID + 3 {
            let body = answer(id, true);
            assert_eq!(number(&body).unwrap(), Some(id));
            assert_eq!(question.judge(&body).unwrap(), Judged::Good);
        }
        assert!(question.judge(&answer(FIRST_ID, false)).is_err());
        assert_eq!(question.answer_bytes(), 4 + answer(FIRST_ID, true).len());
    }

    #[test]
    fn an_echo_is_nothing_but_what_was_sent() {
        let mut question = question(Good::Same);
        let mut sent = Vec::new();
        question.ask(FIRST_ID + 9, &mut sent);
        let echo = crate::floor::echoed(&sent[LENGTH..], 60);
        question.known = without_number(&echo);
        assert_eq!(number(&echo).unwrap(), Some(FIRST_ID + 9));
        assert_eq!(question.judge(&echo).unwrap(), Judged::Good);
        let mut wrong = echo;
        wrong[30] ^= 1;
        assert!(question.judge(&wrong).is_err());
    }
}
