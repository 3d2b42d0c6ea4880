//! Checks of values that several commands share.

use crate::Rejection;

/// A text for people: not empty, not too long, no control characters.
pub(super) fn text(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Rejection> {
    if text.trim().is_empty() {
        return Err(Rejection::invalid(field, "is empty"));
    }
    optional_text(field, text, bytes_max)
}

/// The same, where it may be empty.
pub(super) fn optional_text(
    field: &'static str,
    text: &str,
    bytes_max: usize,
) -> Result<(), Rejection> {
    if text.len() > bytes_max {
        return Err(Rejection::invalid(
            field,
            format!("has over {bytes_max} bytes"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Rejection::invalid(field, "holds control characters"));
    }
    Ok(())
}

/// A SHA-256 in lower-case hex.
pub(super) fn sha256_hex(field: &'static str, text: &str) -> Result<(), Rejection> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 64 && text.bytes().all(digit) {
        return Ok(());
    }
    Err(Rejection::invalid(field, "is not a SHA-256 in hex"))
}

/// One more would be over the bound.
pub(super) const fn room_for_one(
    what: &'static str,
    present: u64,
    max: u64,
) -> Result<(), Rejection> {
    if present >= max {
        Err(Rejection::TooMany { what, max })
    } else {
        Ok(())
    }
}
