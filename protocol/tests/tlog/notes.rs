//! Checkpoints and notes before `signed_note` and `tlog_tiles`, and theirs before us.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use provost_protocol::{
    InstallId, TenantId,
    note::{parse_verifier_key, verifier_key, verify_note},
    sign::{KeyId, Signer},
    tlog::{Checkpoint, origin},
};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

/// A key from a fixed seed.
#[derive(Debug)]
struct TestSigner(SigningKey);

impl TestSigner {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }
}

impl Signer for TestSigner {
    fn key_id(&self) -> KeyId {
        KeyId::of(&self.public_key())
    }

    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

fn ours(size: u64, root: [u8; 32]) -> Checkpoint {
    let install: InstallId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
    let tenant: TenantId = "01935a2b-6c00-7a01-8c00-0000000000a1".parse().unwrap();
    Checkpoint {
        origin: origin(install, tenant, 1_795_325_728),
        size,
        root,
    }
}

fn known(key: &str) -> VerifierList {
    VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())])
}

/// The same key as their tools write it.
fn their_signer(name: &str, seed: u8) -> StandardSigner {
    let public = TestSigner::new(seed).public_key();
    let id = signed_note::key_id(name, &[&[1_u8][..], &public].concat());
    let key = STANDARD.encode([&[1_u8][..], &[seed; 32]].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id:08x}+{key}")).unwrap()
}

proptest! {
    #[test]
    fn a_checkpoint_signed_by_us_is_read_and_verified_by_their_tools(
        size in any::<u64>(), root in any::<[u8; 32]>(), seed in any::<u8>(),
    ) {
        let (checkpoint, signer) = (ours(size, root), TestSigner::new(seed));
        let note = checkpoint.sign(&signer);
        let key = verifier_key(&checkpoint.origin, &signer.public_key());

        let theirs = Note::from_bytes(note.as_bytes()).unwrap();
        let (good, unknown) = theirs.verify(&known(&key)).unwrap();
        prop_assert_eq!((good.len(), unknown.len()), (1, 0));
        let read = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
        prop_assert_eq!(read.origin(), &checkpoint.origin);
        prop_assert_eq!((read.size(), read.hash().0), (size, root));
        prop_assert_eq!(read.extension(), "");
    }

    #[test]
    fn a_checkpoint_signed_by_their_tools_is_read_and_verified_by_us(
        size in any::<u64>(), root in any::<[u8; 32]>(), seed in any::<u8>(),
    ) {
        let expected = ours(size, root);
        let hash = tlog_tiles::tlog::Hash(root);
        let theirs = tlog_tiles::Checkpoint::new(&expected.origin, size, hash, "").unwrap();
        let mut note = Note::new(&theirs.to_bytes(), &[]).unwrap();
        note.add_sigs(&[&their_signer(&expected.origin, seed)]).unwrap();
        let note = String::from_utf8(note.to_bytes()).unwrap();

        let signer = TestSigner::new(seed);
        let read = Checkpoint::verify(&note, &expected.origin, &signer.public_key());
        prop_assert_eq!(read.as_ref(), Ok(&expected));
        // One key, one text, one note: the signature is deterministic.
        prop_assert_eq!(note, expected.sign(&signer));
    }

    #[test]
    fn a_checkpoint_with_one_bit_flipped_is_refused_by_them_and_us(
        bit in any::<prop::sample::Index>(),
    ) {
        let (checkpoint, signer) = (ours(4711, [7; 32]), TestSigner::new(7));
        let mut bytes = checkpoint.sign(&signer).into_bytes();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let key = verifier_key(&checkpoint.origin, &signer.public_key());
        let theirs = Note::from_bytes(&bytes).and_then(|note| note.verify(&known(&key)));
        prop_assert!(theirs.is_err());
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let ours = Checkpoint::verify(text, &checkpoint.origin, &signer.public_key());
            prop_assert!(ours.is_err());
        }
    }
}

#[test]
fn a_key_that_their_tools_write_is_read_by_us() {
    let name = "example.com/log";
    let key = TestSigner::new(3).public_key();
    let typed = [&[1_u8][..], &key].concat();
    let id = signed_note::key_id(name, &typed);
    let theirs = format!("{name}+{id:08x}+{}", STANDARD.encode(typed));
    assert_eq!(parse_verifier_key(&theirs), Ok((name, key)));
    assert_eq!(verifier_key(name, &key), theirs);
}

#[test]
fn a_checkpoint_with_another_witness_signature_is_believed_by_both() {
    let (checkpoint, signer) = (ours(4711, [7; 32]), TestSigner::new(7));
    let note = checkpoint.sign(&signer);
    let mut witnessed = Note::from_bytes(note.as_bytes()).unwrap();
    witnessed
        .add_sigs(&[&their_signer("witness.example", 9)])
        .unwrap();
    let witnessed = String::from_utf8(witnessed.to_bytes()).unwrap();
    let key = signer.public_key();
    assert_eq!(
        Checkpoint::verify(&witnessed, &checkpoint.origin, &key),
        Ok(checkpoint)
    );
    let witness = TestSigner::new(9).public_key();
    assert!(verify_note(&witnessed, "witness.example", &witness).is_ok());
}
