//! The outer form of a license file: armour, base64, signature.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::{Simd, general_purpose::PAD};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::Refused;
use crate::{
    json::{self, Limits},
    sign::Signer,
};

/// What stands between the armour lines.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    /// The payload in base64.
    pub(super) enc: String,
    /// The signature over [`message`](Self::message) in base64.
    pub(super) sig: String,
    /// Always [`ALGORITHM`]; compared, never used to choose.
    alg: String,
}

/// Signs a payload into a file: [`Envelope`], armoured. `json` is room for it, empty.
pub(super) fn sign(payload: &[u8], signer: &dyn Signer, json: &mut Vec<u8>) -> String {
    // The message is made in the place where it will stand in the JSON, whose length is known.
    let enc_bytes = encoded_bytes(payload.len());
    json.reserve(enc_bytes + REST_BYTES);
    json.extend_from_slice(MESSAGE);
    json.resize(MESSAGE.len() + enc_bytes, 0);
    encode(payload, &mut json[MESSAGE.len()..]);
    let signature = signer.sign(json);
    json[..ENC.len()].copy_from_slice(ENC);
    let mut sig = [0; encoded_bytes(64)];
    encode(&signature, &mut sig);
    // Nothing is to be escaped in base64, nor in the algorithm's name.
    for part in [&br#"","sig":""#[..], &sig, br#"","alg":""#] {
        json.extend_from_slice(part);
    }
    json.extend_from_slice(ALGORITHM.as_bytes());
    json.extend_from_slice(br#""}"#);
    armour(json)
}

fn armour(json: &[u8]) -> String {
    let lines = encoded_bytes(json.len()).div_ceil(LINE_COLUMNS);
    let mut file = Vec::with_capacity((lines + 2) * (LINE_COLUMNS + 1));
    file.extend_from_slice(BEGIN.as_bytes());
    file.push(b'\n');
    let mut text = [0; BLOCK_LINES * LINE_COLUMNS];
    for block in json.chunks(BLOCK_LINES * LINE_BYTES) {
        let length = encode(block, &mut text);
        for line in text[..length].chunks(LINE_COLUMNS) {
            file.extend_from_slice(line);
            file.push(b'\n');
        }
    }
    file.extend_from_slice(END.as_bytes());
    file.push(b'\n');
    String::from_utf8(file).expect("base64 between two lines of ASCII")
}

impl Envelope {
    /// Reads a file; lines may be of any length and end in LF or CR LF.
    pub(super) fn from_file(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > LICENSE_BYTES_MAX {
            let bytes = bytes.len();
            let detail = format!("{bytes} bytes where at most {LICENSE_BYTES_MAX} are allowed");
            return Err(Refused::malformed(detail));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Refused::malformed("the file is not text"))?
            .trim_matches([' ', '\t', '\r', '\n']);
        let body = text
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(END))
            .ok_or_else(|| Refused::malformed("the file lacks its BEGIN or END line"))?;
        let base64: String = body.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let json = decode("the file", &base64)?;
        let envelope: Self = json::parse(&json, &LIMITS)
            .map_err(|error| Refused::malformed(format!("the envelope: {error}")))?;
        if envelope.alg != ALGORITHM {
            return Err(Refused::malformed(format!("\"alg\" is not {ALGORITHM}")));
        }
        Ok(envelope)
    }

    /// The bytes that are signed.
    pub(super) fn message(&self) -> Vec<u8> {
        [MESSAGE, self.enc.as_bytes()].concat()
    }

    /// The signature.
    pub(super) fn signature(&self) -> Result<Vec<u8>, Refused> {
        decode("\"sig\"", &self.sig)
    }

    /// The payload.
    pub(super) fn payload(&self) -> Result<Vec<u8>, Refused> {
        decode("\"enc\"", &self.enc)
    }
}

/// Says how many bytes of `text` were written, which has room for all of them.
fn encode(bytes: &[u8], text: &mut [u8]) -> usize {
    let written = ENCODER.encode_slice(bytes, text);
    written.expect("there is room for encoded_bytes of what is encoded")
}

/// How long so many bytes are in base64, with padding.
const fn encoded_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Decodes canonical base64: one encoding of each value, so that no bit of a file is free.
fn decode(what: &str, text: &str) -> Result<Vec<u8>, Refused> {
    STANDARD
        .decode(text)
        .map_err(|error| Refused::malformed(format!("{what}: {error}")))
}

/// Encodes as [`STANDARD`] does, in a tenth of the time: each license is encoded twice, the second
/// time with a third more.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENCODER: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use STANDARD as ENCODER;

/// No license is longer: about 330 entitlements with quotas and window bounds, and still a quarter
/// of a frame.
pub const LICENSE_BYTES_MAX: usize = 256 * 1024;

/// For the JSON inside, which is always shorter than the file.
pub(super) const LIMITS: Limits = Limits {
    bytes_max: LICENSE_BYTES_MAX,
};

/// Stands before the payload in what is signed, as Keygen has it.
const MESSAGE: &[u8] = b"license/";

/// Stands before the payload in the JSON: as long, so that one takes the other's place.
const ENC: &[u8] = br#"{"enc":""#;
const _: () = assert!(ENC.len() == MESSAGE.len());

/// The JSON without its payload.
const REST_BYTES: usize = 160;

/// Keygen's name for "base64 payload, Ed25519 signature"; the only one spoken.
const ALGORITHM: &str = "base64+ed25519";

/// RFC 7468's line length.
const LINE_COLUMNS: usize = 64;

/// What is encoded in a line.
const LINE_BYTES: usize = LINE_COLUMNS / 4 * 3;

/// Encoded at once, on the stack: long enough for the fast encoder to get going, and 4 KiB.
const BLOCK_LINES: usize = 64;

const BEGIN: &str = "-----BEGIN LICENSE FILE-----";
const END: &str = "-----END LICENSE FILE-----";
