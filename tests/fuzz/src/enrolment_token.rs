//! The text by which a runtime enrolls.

use provost_protocol::token::EnrolmentToken;

/// Reads any text as an enrolment token, and what was read again from what it writes.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(token) = text.parse::<EnrolmentToken>() else {
        return;
    };
    let written = token.to_text();
    let again: EnrolmentToken = written.parse().expect("what was written is read");
    assert_eq!(
        (again.addr(), again.id(), again.root_sha256()),
        (token.addr(), token.id(), token.root_sha256())
    );
    assert_eq!(again.secret_sha256(), token.secret_sha256());
    assert!(!format!("{token:?}").contains(&written));
}
