//! Proofs as files (C2SP tlog-proof@v1): one event, its place, and a signed checkpoint.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    Checkpoint, Hash, PATH_HASHES_MAX, TlogError,
    checkpoint::{decimal, hash},
    leaf_hash, verify_inclusion,
};
use crate::note::NOTE_BYTES_MAX;

/// Everything but the event and the public key that it takes to prove that the event is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What an application says beside; signed by nobody.
    pub extra: Option<Vec<u8>>,
    /// The event's place: seq - 1.
    pub index: u64,
    /// The inclusion proof, the leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl Proof {
    /// Writes the proof as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(EXTRA);
            text.push_str(&STANDARD.encode(extra));
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{INDEX}{}", self.index);
        for hash in &self.path {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads the text of a proof; what it proves is for [`Self::verify`] to say.
    ///
    /// # Errors
    /// [`TlogError::TooLarge`] or [`TlogError::NotProof`].
    pub fn parse(text: &str) -> Result<Self, TlogError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(TlogError::TooLarge);
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogError::NotProof)?;
        if checkpoint.len() > NOTE_BYTES_MAX {
            return Err(TlogError::TooLarge);
        }
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(TlogError::NotProof);
        }
        let extra = match lines.next_if(|line| line.starts_with(EXTRA)) {
            Some(line) => Some(extra(line)?),
            None => None,
        };
        let index = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix(INDEX)?))
            .ok_or(TlogError::NotProof)?;
        let path: Option<Vec<Hash>> = lines.take(PATH_HASHES_MAX + 1).map(hash).collect();
        let path = path.filter(|path| path.len() <= PATH_HASHES_MAX);
        Ok(Self {
            extra,
            index,
            path: path.ok_or(TlogError::NotProof)?,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Says whether exactly these bytes are in the log, and answers the checkpoint that says so.
    ///
    /// # Errors
    /// As [`Checkpoint::verify`], and [`TlogError::Path`] when the path does not prove it.
    pub fn verify(
        &self,
        leaf: &[u8],
        origin: &str,
        public_key: &[u8; 32],
    ) -> Result<Checkpoint, TlogError> {
        let checkpoint = Checkpoint::verify(&self.checkpoint, origin, public_key)?;
        verify_inclusion(
            (self.index, leaf_hash(leaf)),
            (checkpoint.size, checkpoint.root),
            &self.path,
        )?;
        Ok(checkpoint)
    }
}

fn extra(line: &str) -> Result<Vec<u8>, TlogError> {
    let text = line.strip_prefix(EXTRA).ok_or(TlogError::NotProof)?;
    let bytes = STANDARD.decode(text).map_err(|_| TlogError::NotProof)?;
    if bytes.len() > EXTRA_BYTES_MAX {
        return Err(TlogError::TooLarge);
    }
    Ok(bytes)
}

/// First line, as specified.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Opens the optional second line.
const EXTRA: &str = "extra ";

/// Opens the line of the leaf's place.
const INDEX: &str = "index ";

/// Extra data names a thing or two; a whole event would be no extra.
pub const EXTRA_BYTES_MAX: usize = 16 * 1024;

/// The largest note, the longest path, the largest extra data, and the lines around them.
pub const PROOF_BYTES_MAX: usize =
    NOTE_BYTES_MAX + PATH_HASHES_MAX * 45 + EXTRA_BYTES_MAX / 3 * 4 + 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sign::{Signer, testing::TestSigner},
        tlog::{Frontier, inclusion},
    };

    const GOLDEN: &str = include_str!("../../golden/tlog/standard.tlog-proof");

    fn leaves() -> Vec<Vec<u8>> {
        (0..11).map(|n| format!("event {n}").into_bytes()).collect()
    }

    fn made() -> Proof {
        let leaves: Vec<Hash> = leaves().iter().map(|leaf| leaf_hash(leaf)).collect();
        let mut tree = Frontier::default();
        leaves.iter().for_each(|&leaf| tree.append(leaf));
        let path = inclusion(6, 11, &mut |level, index| {
            let mut subtree = Frontier::default();
            let from = usize::try_from(index << level).unwrap();
            leaves[from..from + (1 << level)]
                .iter()
                .for_each(|&leaf| subtree.append(leaf));
            Ok::<_, std::convert::Infallible>(subtree.root())
        });
        let checkpoint = Checkpoint {
            origin: "example.com/log/1".to_owned(),
            size: 11,
            root: tree.root(),
        };
        Proof {
            extra: Some(b"seq 7".to_vec()),
            index: 6,
            path: path.unwrap(),
            checkpoint: checkpoint.sign(&TestSigner::new(7)),
        }
    }

    #[test]
    fn the_golden_proof_of_a_fixed_key_does_not_change_and_proves_its_leaf_only() {
        let (proof, key) = (made(), TestSigner::new(7).public_key());
        assert_eq!(proof.to_text(), GOLDEN);
        let read = Proof::parse(GOLDEN).unwrap();
        assert_eq!(read, proof);
        for (index, leaf) in leaves().iter().enumerate() {
            let said = read.verify(leaf, "example.com/log/1", &key);
            assert_eq!(said.is_ok(), index == 6, "{index}: {said:?}");
        }
        let elsewhere = read.verify(b"event 6", "example.com/log/2", &key);
        assert!(elsewhere.is_err(), "{elsewhere:?}");
    }

    #[test]
    fn a_proof_without_extra_data_or_path_is_read_and_written_again() {
        let proof = Proof {
            extra: None,
            index: 0,
            path: Vec::new(),
            checkpoint: "x\n\n\u{2014} a AAAA\n".to_owned(),
        };
        let text = proof.to_text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nx\n"));
        assert_eq!(Proof::parse(&text), Ok(proof));
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let hash = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let head = "c2sp.org/tlog-proof@v1\n";
        for bad in [
            String::new(),
            head.to_owned(),
            format!("{head}index 0\n"),
            format!("{head}\nindex 0\n\nx\n"),
            "c2sp.org/tlog-proof@v2\nindex 0\n\nx\n".to_owned(),
            format!("{head}extra !\nindex 0\n\nx\n"),
            format!("{head}index 0\nextra AAAA\n\nx\n"),
            format!("{head}extra AAAA\nextra AAAA\nindex 0\n\nx\n"),
            format!("{head}index 00\n\nx\n"),
            format!("{head}index -1\n\nx\n"),
            format!("{head}index 1 \n\nx\n"),
            format!("{head}index 1\r\n\nx\n"),
            format!("{head}index 0\nAAAA\n\nx\n"),
            format!("{head}index 0\n{}\nx\n", hash.repeat(PATH_HASHES_MAX + 1)),
        ] {
            assert_eq!(Proof::parse(&bad), Err(TlogError::NotProof), "{bad:?}");
        }
        let long = format!("{head}index 0\n\n{}", "x\n".repeat(NOTE_BYTES_MAX));
        assert_eq!(Proof::parse(&long), Err(TlogError::TooLarge));
        let extra = STANDARD.encode(vec![0; EXTRA_BYTES_MAX + 1]);
        let long = format!("{head}extra {extra}\nindex 0\n\nx\n");
        assert_eq!(Proof::parse(&long), Err(TlogError::TooLarge));
    }
}
