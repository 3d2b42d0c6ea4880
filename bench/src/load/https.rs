//! One HTTP/1.1 connection that asks one check after another.
//!
//! The client writes its requests once and reads no more of an answer than it needs to verify it:
//! status, length and body.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use provost_certs::{Alpn, ClientStream};
use provost_protocol::{
    CorrelationId,
    entity::Feature,
    v01::{CheckAnswer, CheckRequest},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{Ran, Ready, Server, Spec, micros_since};
use crate::{
    now,
    world::{self, Member, World},
};

/// The connection.
#[derive(Debug)]
pub(crate) struct HttpLine {
    stream: ClientStream,
    inbox: Vec<u8>,
    questions: Vec<Question>,
    next: usize,
    /// How long each answer took, in microseconds.
    pub(super) times: Vec<u32>,
}

/// One request, and what counts as an answer to it.
#[derive(Debug)]
struct Question {
    request: Vec<u8>,
    /// Absent where the same answer is given to all.
    allowed: Option<bool>,
    /// The body of the last good answer.
    known: Vec<u8>,
}

impl HttpLine {
    /// Connects, and asks everything once.
    pub(super) async fn open(spec: &Spec, world: &World, member: &Member) -> anyhow::Result<Self> {
        let judged = spec.server == Server::Https;
        let mut line = Self::connect(spec, world, member, judged).await?;
        for _ in 0..line.questions.len() {
            line.ask().await?;
        }
        line.times.clear();
        Ok(line)
    }

    /// Connects, and asks nothing.
    pub(crate) async fn connect(
        spec: &Spec,
        world: &World,
        member: &Member,
        judged: bool,
    ) -> anyhow::Result<Self> {
        let tls = world.tls(member, &spec.trust_pem, Alpn::Http11)?;
        let stream = tls.connect(&spec.addr.to_string(), CONNECT_WITHIN).await?;
        let question = |(feature, allowed): (Feature, bool)| -> anyhow::Result<Question> {
            let body = serde_json::to_string(&CheckRequest {
                tenant_id: member.tenant,
                runtime_id: member.runtime,
                feature: feature.to_string(),
                context: None,
            })?;
            Ok(Question {
                request: request(spec, member, &body).into_bytes(),
                allowed: judged.then_some(allowed),
                known: Vec::new(),
            })
        };
        let questions: anyhow::Result<Vec<Question>> = world::questions().map(question).collect();
        Ok(Self {
            stream,
            inbox: Vec::with_capacity(INBOX),
            questions: questions?,
            next: 0,
            times: Vec::new(),
        })
    }

    pub(super) fn ready(&self) -> Ready {
        let typical = self.questions.first();
        let sample = typical.map(|question| String::from_utf8_lossy(&question.known).into_owned());
        Ready {
            answer_bytes: typical.map_or(0, |question| question.known.len()),
            sample: sample.unwrap_or_default(),
        }
    }

    /// Asks until then.
    pub(super) async fn run(&mut self, until: Instant) -> anyhow::Result<Ran> {
        let mut ran = Ran::default();
        while Instant::now() < until {
            self.ask().await?;
            ran.answers += 1;
        }
        Ok(ran)
    }

    /// Asks the next question and verifies the answer; says how many microseconds it took.
    pub(crate) async fn ask(&mut self) -> anyhow::Result<u32> {
        let asked = Instant::now();
        let at = self.next % self.questions.len();
        self.next += 1;
        let exchange = async {
            self.stream.write_all(&self.questions[at].request).await?;
            self.stream.flush().await?;
            self.inbox.clear();
            loop {
                let read = self.stream.read_buf(&mut self.inbox).await?;
                anyhow::ensure!(read > 0, "the server closed the connection");
                if let Some(body) = whole(&self.inbox)? {
                    return anyhow::Ok(body);
                }
            }
        };
        let body_at = timeout(ANSWER_WITHIN, exchange)
            .await
            .context("no answer")??;
        self.questions[at].judge(&self.inbox[body_at..])?;
        let took = micros_since(asked);
        self.times.push(took);
        Ok(took)
    }
}

impl Question {
    fn judge(&mut self, body: &[u8]) -> anyhow::Result<()> {
        if self.known == body {
            return Ok(());
        }
        let answer: CheckAnswer = serde_json::from_slice(body)
            .with_context(|| format!("answered {}", String::from_utf8_lossy(body)))?;
        if let Some(allowed) = self.allowed {
            anyhow::ensure!(answer.allowed == allowed, "should be {allowed}: {answer:?}");
        }
        self.known = body.to_vec();
        Ok(())
    }
}

fn request(spec: &Spec, member: &Member, body: &str) -> String {
    let correlation = CorrelationId::from_parts(now(), rand::random());
    format!(
        "POST /kernel/entitlements/check HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         x-tenant-id: {}\r\nx-runtime-id: {}\r\nauthorization: Bearer {}\r\n\
         x-contract-version: v0.1\r\nx-correlation-id: {correlation}\r\ncontent-length: {}\r\n\r\n\
         {body}",
        spec.addr,
        member.tenant,
        member.runtime,
        member.token,
        body.len(),
    )
}

/// Where the body of an answer begins, once all of it is there. Refuses every status but 200.
fn whole(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head])?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer without a length")?;
    let (begin, length) = (head + 4, length.1.trim().parse::<usize>()?);
    if bytes.len() < begin + length {
        return Ok(None);
    }
    anyhow::ensure!(
        status.starts_with("HTTP/1.1 200") && bytes.len() == begin + length,
        "answered {}",
        String::from_utf8_lossy(bytes)
    );
    Ok(Some(begin))
}

/// A handshake beside a few others.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// As a runtime waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// An answer with its head takes about 300 bytes.
const INBOX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\n").unwrap(), None);
        assert_eq!(whole(format!("{head}{{").as_bytes()).unwrap(), None);
        assert_eq!(
            whole(format!("{head}{{}}").as_bytes()).unwrap(),
            Some(head.len())
        );
        assert!(whole(format!("{head}{{}}x").as_bytes()).is_err());
        assert!(whole(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
