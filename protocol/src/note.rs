//! Signed notes (C2SP signed-note v1.0.0, Ed25519), and the kernel's signed time.
//!
//! A note is a text and, after an empty line, signature lines `— <name> <base64>`. Checkpoints of
//! tenants' logs are notes too, so that tools which are not ours can check them.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::{
    InstallId, Timestamp,
    sign::{Signer, verify_signature},
};

/// Why a note, or the key of one, is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than any note of ours.
    #[error("a note has at most {NOTE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not a text, an empty line and signature lines.
    #[error("not a signed note")]
    Malformed,
    /// No signature line names the key asked for.
    #[error("not signed by the key asked for")]
    KeyUnknown,
    /// A signature line names the key, and the signature is not its.
    #[error("the signature does not hold")]
    SignatureInvalid,
    /// Signed by the right key, but it says something else than a time of this installation.
    #[error("not a time note of this installation")]
    NotTime,
    /// Not `name+key id+base64`.
    #[error("not a verifier key")]
    VerifierKey,
}

/// Signs a text as a note under a name.
///
/// The text must end in a newline and hold no other control character, the name no space and no
/// plus sign; callers build both from ids, numbers and hashes. Anything else yields a note that
/// nobody accepts.
#[must_use]
pub fn sign_note(text: &str, name: &str, signer: &dyn Signer) -> String {
    let mut blob = key_hash(name, &signer.public_key()).to_vec();
    blob.extend_from_slice(&signer.sign(text.as_bytes()));
    format!("{text}\n{DASH} {name} {}\n", STANDARD.encode(blob))
}

/// Answers the text of a note if it carries a good signature of this name and key.
///
/// Signatures of others are passed over, as the specification asks.
///
/// # Errors
/// Every [`NoteError`] but [`NoteError::NotTime`] and [`NoteError::VerifierKey`].
pub fn verify_note<'a>(
    note: &'a str,
    name: &str,
    public_key: &[u8; 32],
) -> Result<&'a str, NoteError> {
    let (text, signatures) = split(note)?;
    if !name_is_good(name) {
        return Err(NoteError::KeyUnknown);
    }
    let wanted = key_hash(name, public_key);
    let mut found = false;
    for (index, line) in signatures.split_terminator('\n').enumerate() {
        if index == SIGNATURES_MAX {
            return Err(NoteError::Malformed);
        }
        let (signed_by, blob) = signature_line(line)?;
        let Some((hash, signature)) = blob.split_first_chunk::<4>() else {
            return Err(NoteError::Malformed);
        };
        // A second line of the same key adds nothing.
        if signed_by == name && *hash == wanted && !found {
            verify_signature(public_key, text.as_bytes(), signature)
                .map_err(|_| NoteError::SignatureInvalid)?;
            found = true;
        }
    }
    if found {
        Ok(text)
    } else {
        Err(NoteError::KeyUnknown)
    }
}

/// Writes a public key as notes' tools expect it: `name+hex of the key id+base64(0x01 || key)`.
#[must_use]
pub fn verifier_key(name: &str, public_key: &[u8; 32]) -> String {
    let mut typed = vec![ED25519];
    typed.extend_from_slice(public_key);
    format!(
        "{name}+{}+{}",
        hex::encode(key_hash(name, public_key)),
        STANDARD.encode(typed)
    )
}

/// Reads name and public key out of a verifier key.
///
/// # Errors
/// [`NoteError::VerifierKey`] unless it is an Ed25519 key whose id is its own.
pub fn parse_verifier_key(text: &str) -> Result<(&str, [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::VerifierKey);
    };
    let typed = STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
    let Some((&ED25519, key)) = typed.split_first() else {
        return Err(NoteError::VerifierKey);
    };
    let key: [u8; 32] = key.try_into().map_err(|_| NoteError::VerifierKey)?;
    let own = hex::encode(key_hash(name, &key));
    if name_is_good(name) && own == hash {
        Ok((name, key))
    } else {
        Err(NoteError::VerifierKey)
    }
}

/// A moment that the kernel vouches for: the same note is in every answer of one second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTime {
    at: Timestamp,
    note: String,
}

impl SignedTime {
    /// Signs a moment in the name of an installation.
    #[must_use]
    pub fn sign(install: InstallId, at: Timestamp, signer: &dyn Signer) -> Self {
        let name = time_name(install);
        let note = sign_note(&format!("{name}\n{at}\n"), &name, signer);
        Self { at, note }
    }

    /// Reads a time note of this installation and key.
    ///
    /// # Errors
    /// As [`verify_note`], and [`NoteError::NotTime`] for a note that says something else.
    pub fn verify(
        note: &str,
        install: InstallId,
        public_key: &[u8; 32],
    ) -> Result<Self, NoteError> {
        let name = time_name(install);
        let text = verify_note(note, &name, public_key)?;
        let said = text
            .strip_prefix(&name)
            .and_then(|rest| rest.strip_prefix('\n'))
            .and_then(|rest| rest.strip_suffix('\n'))
            .ok_or(NoteError::NotTime)?;
        let at = Timestamp::from_str(said).map_err(|_| NoteError::NotTime)?;
        // One moment, one spelling.
        if at.to_string() != said {
            return Err(NoteError::NotTime);
        }
        Ok(Self {
            at,
            note: note.to_owned(),
        })
    }

    /// The moment.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The note that proves it.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}

fn time_name(install: InstallId) -> String {
    format!("{install}/time")
}

/// The specification's key id: the first four bytes of a hash over name, type and key.
fn key_hash(name: &str, public_key: &[u8; 32]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', ED25519]);
    hash.update(public_key);
    let digest: [u8; 32] = hash.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Splits a note into its text (with the last newline) and its signature lines.
fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLarge);
    }
    if note.bytes().any(|byte| byte < b' ' && byte != b'\n') || !note.ends_with('\n') {
        return Err(NoteError::Malformed);
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, signatures) = (&note[..=at], &note[at + 2..]);
    if signatures.is_empty() {
        Err(NoteError::Malformed)
    } else {
        Ok((text, signatures))
    }
}

fn signature_line(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let rest = line
        .strip_prefix(DASH)
        .and_then(|rest| rest.strip_prefix(' '));
    let (name, blob) = rest
        .and_then(|rest| rest.split_once(' '))
        .ok_or(NoteError::Malformed)?;
    let blob = STANDARD.decode(blob).map_err(|_| NoteError::Malformed)?;
    if name_is_good(name) {
        Ok((name, blob))
    } else {
        Err(NoteError::Malformed)
    }
}

fn name_is_good(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// A checkpoint with a hundred cosignatures has 15 KiB; what is larger is no note of ours.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// The specification's own advice for what a verifier must bear.
const SIGNATURES_MAX: usize = 100;

/// Signature type 0x01 of the specification.
const ED25519: u8 = 0x01;

/// U+2014, the em dash that opens a signature line.
const DASH: &str = "\u{2014}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sign::testing::TestSigner;

    const INSTALL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    /// The example of Go's `golang.org/x/mod/sumdb/note`, which others' tools accept.
    const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const GOLDEN_TIME: &str = include_str!("../golden/note/time.note");

    fn install() -> InstallId {
        INSTALL.parse().unwrap()
    }

    #[test]
    fn a_note_made_by_the_go_tools_is_accepted() {
        let (name, key) = parse_verifier_key(GO_KEY).unwrap();
        let text = verify_note(GO_NOTE, name, &key).unwrap();
        assert!(text.ends_with("what your problem is.\n"), "{text}");
        assert_eq!(verifier_key(name, &key), GO_KEY);
        assert_eq!(
            verify_note(&GO_NOTE.replace("answer", "anvwer"), name, &key),
            Err(NoteError::SignatureInvalid)
        );
    }

    #[test]
    fn the_golden_time_note_of_a_fixed_key_does_not_change() {
        let signer = TestSigner::new(7);
        let at = "2026-11-22T05:35:28.123Z".parse().unwrap();
        let made = SignedTime::sign(install(), at, &signer);
        assert_eq!(made.note(), GOLDEN_TIME);
        let read = SignedTime::verify(GOLDEN_TIME, install(), &signer.public_key()).unwrap();
        assert_eq!(read, made);
        assert_eq!(read.at(), at);
    }

    #[test]
    fn a_note_of_another_key_name_or_purpose_is_refused() {
        let (signer, other) = (TestSigner::new(7), TestSigner::new(8));
        let key = signer.public_key();
        let note = sign_note("x\n", "a/b", &signer);
        assert_eq!(verify_note(&note, "a/b", &key), Ok("x\n"));
        assert_eq!(verify_note(&note, "a/c", &key), Err(NoteError::KeyUnknown));
        assert_eq!(
            verify_note(&note, "a/b", &other.public_key()),
            Err(NoteError::KeyUnknown)
        );
        let name = time_name(install());
        for text in [
            "x\n".to_owned(),
            format!("{name}\n2026-11-22T05:35:28Z\n"),
            "\n".to_owned(),
        ] {
            let note = sign_note(&text, &name, &signer);
            assert_eq!(
                SignedTime::verify(&note, install(), &key),
                Err(NoteError::NotTime)
            );
        }
    }

    #[test]
    fn a_signature_of_another_beside_ours_is_passed_over() {
        let (signer, other) = (TestSigner::new(7), TestSigner::new(8));
        let note = sign_note("x\n", "a", &other);
        let ours = sign_note("x\n", "b", &signer);
        let both = format!("{note}{}", ours.split_once("\n\n").unwrap().1);
        assert_eq!(verify_note(&both, "a", &other.public_key()), Ok("x\n"));
        assert_eq!(verify_note(&both, "b", &signer.public_key()), Ok("x\n"));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let signer = TestSigner::new(7);
        let note = sign_note("x\n", "a", &signer);
        for bad in [
            String::new(),
            "x\n".to_owned(),
            "x\n\n".to_owned(),
            note.trim_end().to_owned(),
            note.replace("\u{2014}", "-"),
            note.replace("x\n", "x\r\n"),
            format!("{note}{}", "\u{2014} b AAAAAAA=\n".repeat(100)),
        ] {
            let error = verify_note(&bad, "a", &signer.public_key());
            assert_eq!(error, Err(NoteError::Malformed), "{bad:?}");
        }
        let long = format!("{}{note}", "x\n".repeat(NOTE_BYTES_MAX));
        assert_eq!(
            verify_note(&long, "a", &signer.public_key()),
            Err(NoteError::TooLarge)
        );
        for bad in [
            "",
            "a",
            "a+b",
            "a+00000000+AQ==",
            &GO_KEY.replace("c74f", "c75f"),
        ] {
            assert_eq!(
                parse_verifier_key(bad),
                Err(NoteError::VerifierKey),
                "{bad:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}\n{0,2}(\u{2014} a )?[A-Za-z0-9+/=]{0,90}\n?") {
            prop_assert!(verify_note(&text, "a", &[1; 32]).is_err());
            let _ = parse_verifier_key(&text);
        }

        #[test]
        fn a_note_with_one_bit_flipped_says_the_same_or_nothing(bit in any::<prop::sample::Index>()) {
            let signer = TestSigner::new(7);
            let note = sign_note("some text\nof two lines\n", "a/b", &signer);
            let mut bytes = note.into_bytes();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(flipped) = std::str::from_utf8(&bytes) {
                prop_assert!(verify_note(flipped, "a/b", &signer.public_key()).is_err());
            }
        }
    }
}
