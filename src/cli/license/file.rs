//! License files and public keys, as they lie on disk.

use std::{
    fs::File,
    io::{Read, stdin},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use provost_protocol::{
    json::{self, Limits},
    license::{LICENSE_BYTES_MAX, VerifyingKey},
};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::exit::Failure;

/// Reads a file, or standard input for `-`; never more than a license may have.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::Usage(format!("{}: {error}", path.display()));
    // One byte more than allowed, so that the verifier sees that it is too long.
    let max = u64::try_from(LICENSE_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        stdin()
            .lock()
            .take(max)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        file.take(max).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    Ok(bytes)
}

/// Takes the payload out of a license file. The signature is not looked at.
pub(super) fn decode(bytes: &[u8]) -> Result<Value, Failure> {
    #[derive(Deserialize)]
    struct Envelope {
        enc: String,
    }
    let malformed = || Failure::Ruled("this is no license file".to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    let inside: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let limits = Limits {
        bytes_max: LICENSE_BYTES_MAX,
    };
    let envelope = STANDARD.decode(inside).map_err(|_| malformed())?;
    let envelope: Envelope = json::parse(&envelope, &limits).map_err(|_| malformed())?;
    let payload = STANDARD.decode(envelope.enc).map_err(|_| malformed())?;
    json::parse(&payload, &limits).map_err(|_| malformed())
}

/// Reads a public key: 64 hex digits, or the name of a file in PEM (SubjectPublicKeyInfo).
pub(super) fn public_key(text: &str) -> Result<VerifyingKey, Failure> {
    if let Some(key) = digest(text) {
        return Ok(VerifyingKey::new(key));
    }
    let unusable = |why: &str| Failure::Usage(format!("--key {text}: {why}"));
    let bytes = read(Path::new(text))?;
    let pem = std::str::from_utf8(&bytes).map_err(|_| unusable("not PEM"))?;
    let (_, rest) = pem
        .split_once(BEGIN)
        .ok_or_else(|| unusable("no public key in PEM"))?;
    let (body, _) = rest
        .split_once(END)
        .ok_or_else(|| unusable("no public key in PEM"))?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| unusable("not base64"))?;
    let key = der
        .strip_prefix(&ED25519_SPKI_HEAD)
        .and_then(|key| key.try_into().ok());
    key.map(VerifyingKey::new)
        .ok_or_else(|| unusable("not an Ed25519 key"))
}

/// Reads 32 bytes in hex.
pub(super) fn digest(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// DER in front of the 32 bytes of an Ed25519 key (RFC 8410, section 4): one fixed form.
const ED25519_SPKI_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_hex_and_from_pem_alike() {
        let dir = tempfile::tempdir().unwrap();
        let key = provost_certs::Ed25519Key::create(&dir.path().join("key")).unwrap();
        let public = provost_protocol::sign::Signer::public_key(&key);
        let path = dir.path().join("key.pem");
        std::fs::write(&path, key.public_key_pem()).unwrap();
        let from_pem = public_key(path.to_str().unwrap()).unwrap();
        assert_eq!(from_pem, public_key(&hex::encode(public)).unwrap());
        assert_eq!(from_pem.public_key(), &public);
    }

    #[test]
    fn what_is_no_ed25519_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        for (text, why) in [
            (pair.public_key_pem(), "not an Ed25519 key"),
            (pair.serialize_pem(), "no public key in PEM"),
            (format!("{BEGIN}\n!\n{END}"), "not base64"),
        ] {
            std::fs::write(&path, text).unwrap();
            let failure = public_key(path.to_str().unwrap()).unwrap_err();
            assert!(failure.to_string().ends_with(why), "{failure}");
        }
        assert!(
            public_key("no-such-file")
                .unwrap_err()
                .to_string()
                .contains("no-such-file")
        );
    }
}
