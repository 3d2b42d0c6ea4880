//! What a process asked of its system, as strace wrote it down.

use std::collections::HashMap;

/// A system call: when it began, when it ended, and what it was.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    began: usize,
    ended: usize,
    text: String,
}

impl Call {
    /// Reads the lines of `strace -f -o`; a call that others cut in two is put together again.
    pub(crate) fn read(trace: &str) -> Vec<Self> {
        let mut open: HashMap<&str, (usize, &str)> = HashMap::new();
        let mut calls = Vec::new();
        for (at, line) in trace.lines().enumerate() {
            let Some((thread, rest)) = line.split_once(' ') else {
                continue;
            };
            let rest = rest.trim_start();
            if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
                open.insert(thread, (at, first));
            } else if let Some((_, last)) = rest.split_once(" resumed>")
                && let Some((began, first)) = open.remove(thread)
            {
                calls.push(Self {
                    began,
                    ended: at,
                    text: format!("{first}{last}"),
                });
            } else {
                calls.push(Self {
                    began: at,
                    ended: at,
                    text: rest.to_owned(),
                });
            }
        }
        // A call that the end of the trace cut off has begun all the same.
        let cut = open.into_values();
        calls.extend(cut.map(|(began, first)| Self {
            began,
            ended: usize::MAX,
            text: first.to_owned(),
        }));
        calls.sort_by_key(|call| call.began);
        calls
    }

    fn name(&self) -> &str {
        self.text.split('(').next().unwrap_or_default()
    }

    /// The descriptor with what it stands for: `12</var/lib/file>`.
    fn descriptor(&self) -> &str {
        let rest = self.text.split_once('(').map_or("", |(_, rest)| rest);
        let end = rest.find([',', ')']).unwrap_or(rest.len());
        &rest[..end]
    }

    fn writes(&self) -> bool {
        ["write", "writev", "pwrite64", "sendto", "sendmsg"].contains(&self.name())
    }

    fn synced(&self, descriptor: &str) -> bool {
        let succeeded = self
            .text
            .rsplit_once(" = ")
            .is_some_and(|(_, code)| code == "0");
        self.name() == "fdatasync" && self.descriptor() == descriptor && succeeded
    }
}

/// Says whether what contains `marker` was durable in its segment before anything was written to
/// the client at `port`; an error says what is missing.
pub(crate) fn durable_before_answer(trace: &str, marker: &str, port: u16) -> Result<(), String> {
    let calls = Call::read(trace);
    let written = calls.iter().rfind(|call| {
        call.writes() && call.descriptor().contains(".seg>") && call.text.contains(marker)
    });
    let written = written.ok_or("the event was not written to a segment")?;
    let client = format!("->127.0.0.1:{port}]");
    let answered = calls.iter().find(|call| {
        call.began > written.began && call.writes() && call.descriptor().contains(&client)
    });
    let answered = answered.ok_or("the client was not answered")?;
    let synced = calls.iter().any(|call| {
        call.synced(written.descriptor())
            && call.began > written.ended
            && call.ended < answered.began
    });
    if synced {
        Ok(())
    } else {
        Err(format!("no fdatasync between {written:?} and {answered:?}"))
    }
}

#[test]
fn calls_that_others_cut_in_two_are_put_together() {
    let trace = "7  write(3</x.seg>, \"a\", 1 <unfinished ...>\n\
                 8  fdatasync(3</x.seg>) = 0\n\
                 7  <... write resumed>) = 1\n\
                 8  sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"b\", 1, 0, NULL, 0) = 1\n";
    let calls = Call::read(trace);
    assert_eq!(calls[0].text, "write(3</x.seg>, \"a\", 1) = 1");
    assert_eq!((calls[0].began, calls[0].ended), (0, 2));
    let early = durable_before_answer(trace, "\"a\"", 2);
    assert!(
        early.unwrap_err().starts_with("no fdatasync"),
        "it began before the write ended"
    );
    let late = format!("{trace}8  fdatasync(3</x.seg>) = 0\n");
    assert!(
        durable_before_answer(&late, "\"a\"", 2).is_err(),
        "it came after the answer"
    );
    let failed = trace.replace(
        "8  sendto",
        "8  fdatasync(3</x.seg>) = -1 EIO (Input/output error)\n8  sendto",
    );
    assert!(
        durable_before_answer(&failed, "\"a\"", 2).is_err(),
        "it did not succeed"
    );
    let good = trace.replace("8  sendto", "8  fdatasync(3</x.seg>) = 0\n8  sendto");
    assert_eq!(durable_before_answer(&good, "\"a\"", 2), Ok(()));
}
