//! Checkpoints (C2SP tlog-checkpoint): where a log ended, signed as a note.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Hash, TlogError};
use crate::{
    InstallId, TenantId,
    note::{sign_note, verify_note},
    sign::Signer,
};

/// A log's size and root at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: see [`origin`].
    pub origin: String,
    /// How many leaves it had.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

/// Names one epoch of one tenant's log: `<install>/audit/<tenant>/<epoch>`.
///
/// It is the key name of the checkpoint's signature too.
#[must_use]
pub fn origin(install: InstallId, tenant: TenantId, epoch: u64) -> String {
    format!("{install}/audit/{tenant}/{epoch}")
}

impl Checkpoint {
    /// Writes the text that is signed: origin, size and root, one a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let root = STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads the text of a checkpoint, unsigned as it is.
    ///
    /// Extension lines, which the specification recommends against, are refused: a checkpoint of
    /// ours has none, and a reader that skips them would not see what was signed.
    ///
    /// # Errors
    /// [`TlogError::TooLarge`] or [`TlogError::NotCheckpoint`].
    pub fn parse(text: &str) -> Result<Self, TlogError> {
        if text.len() > CHECKPOINT_BYTES_MAX {
            return Err(TlogError::TooLarge);
        }
        let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(TlogError::NotCheckpoint);
        };
        if !origin_is_good(origin) {
            return Err(TlogError::NotCheckpoint);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or(TlogError::NotCheckpoint)?,
            root: hash(root).ok_or(TlogError::NotCheckpoint)?,
        })
    }

    /// Signs the checkpoint as a note; the key's name is the origin.
    #[must_use]
    pub fn sign(&self, signer: &dyn Signer) -> String {
        sign_note(&self.to_text(), &self.origin, signer)
    }

    /// Reads a signed checkpoint of one log.
    ///
    /// # Errors
    /// [`TlogError::Note`] when this key did not sign it, [`TlogError::NotCheckpoint`] when it
    /// says something else, [`TlogError::Origin`] when it speaks of another log.
    pub fn verify(note: &str, origin: &str, public_key: &[u8; 32]) -> Result<Self, TlogError> {
        let checkpoint = Self::parse(verify_note(note, origin, public_key)?)?;
        if checkpoint.origin == origin {
            Ok(checkpoint)
        } else {
            Err(TlogError::Origin)
        }
    }
}

/// Reads an ASCII decimal without leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// Reads a hash in canonical base64.
pub(super) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Whether an origin can be a key's name, as it should be.
fn origin_is_good(origin: &str) -> bool {
    !origin.is_empty()
        && origin.len() <= ORIGIN_BYTES_MAX
        && !origin.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// Ours has about a hundred bytes; a host name with a path fits.
pub const ORIGIN_BYTES_MAX: usize = 256;

/// An origin, a decimal of 20 digits, a root of 44 letters and three newlines.
pub const CHECKPOINT_BYTES_MAX: usize = ORIGIN_BYTES_MAX + 20 + 44 + 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{note::NoteError, sign::testing::TestSigner};

    /// The example of the specification.
    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const GOLDEN: &str = include_str!("../../golden/tlog/checkpoint.note");
    const INSTALL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const TENANT: &str = "01935a2b-6c00-7a01-8c00-0000000000a1";

    fn golden() -> Checkpoint {
        Checkpoint {
            origin: origin(INSTALL.parse().unwrap(), TENANT.parse().unwrap(), 1),
            size: 10_000_000,
            root: [0x5a; 32],
        }
    }

    #[test]
    fn the_specifications_example_is_read_and_written_again_to_the_same_bytes() {
        let checkpoint = Checkpoint::parse(EXAMPLE).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_text(), EXAMPLE);
    }

    #[test]
    fn the_golden_checkpoint_of_a_fixed_key_does_not_change() {
        let signer = TestSigner::new(7);
        let made = golden();
        assert_eq!(made.sign(&signer), GOLDEN);
        let read = Checkpoint::verify(GOLDEN, &made.origin, &signer.public_key());
        assert_eq!(read, Ok(made));
    }

    #[test]
    fn a_checkpoint_of_another_key_log_or_purpose_is_refused() {
        let (signer, other) = (TestSigner::new(7), TestSigner::new(8));
        let (made, key) = (golden(), signer.public_key());
        assert_eq!(
            Checkpoint::verify(&made.sign(&other), &made.origin, &key),
            Err(TlogError::Note(NoteError::KeyUnknown))
        );
        assert_eq!(
            Checkpoint::verify(GOLDEN, &format!("{}0", made.origin), &key),
            Err(TlogError::Note(NoteError::KeyUnknown))
        );
        // The right name signs the text of another log.
        let foreign = sign_note(EXAMPLE, &made.origin, &signer);
        assert_eq!(
            Checkpoint::verify(&foreign, &made.origin, &key),
            Err(TlogError::Origin)
        );
        let time = sign_note("x\n", &made.origin, &signer);
        assert_eq!(
            Checkpoint::verify(&time, &made.origin, &key),
            Err(TlogError::NotCheckpoint)
        );
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for bad in [
            String::new(),
            "\n".to_owned(),
            EXAMPLE.trim_end().to_owned(),
            format!("{EXAMPLE}extension\n"),
            format!("{EXAMPLE}\n"),
            format!("\n1\n{root}\n"),
            format!("a b\n1\n{root}\n"),
            format!("a+b\n1\n{root}\n"),
            format!("a\r\n1\n{root}\n"),
            format!("{}\n1\n{root}\n", "a".repeat(ORIGIN_BYTES_MAX + 1)),
            format!("a\n01\n{root}\n"),
            format!("a\n+1\n{root}\n"),
            format!("a\n-1\n{root}\n"),
            format!("a\n\n{root}\n"),
            format!("a\n18446744073709551616\n{root}\n"),
            "a\n1\n\n".to_owned(),
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n".to_owned(),
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n".to_owned(),
            "a\n1\nAAAA\n".to_owned(),
        ] {
            let error = Checkpoint::parse(&bad);
            assert_eq!(error, Err(TlogError::NotCheckpoint), "{bad:?}");
        }
        let long = "a\n".repeat(CHECKPOINT_BYTES_MAX);
        assert_eq!(Checkpoint::parse(&long), Err(TlogError::TooLarge));
    }
}
