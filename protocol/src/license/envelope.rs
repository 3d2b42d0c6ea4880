//! The outer form of a license file: armour, base64, signature.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::Refused;
use crate::{
    json::{self, Limits},
    sign::Signer,
};

/// What stands between the armour lines.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    /// The payload in base64.
    pub(super) enc: String,
    /// The signature over [`message`](Self::message) in base64.
    pub(super) sig: String,
    /// Always [`ALGORITHM`]; compared, never used to choose.
    alg: String,
}

impl Envelope {
    /// Signs a payload.
    pub(super) fn sign(payload: &[u8], signer: &dyn Signer) -> Self {
        let enc = STANDARD.encode(payload);
        let sig = STANDARD.encode(signer.sign(message(&enc).as_bytes()));
        Self {
            enc,
            sig,
            alg: ALGORITHM.to_owned(),
        }
    }

    /// Writes the file.
    pub(super) fn to_file(&self) -> String {
        let json = serde_json::to_vec(self).expect("three strings are always JSON");
        let text = STANDARD.encode(json);
        let mut file = String::with_capacity(text.len() + text.len() / LINE_COLUMNS + 64);
        file.push_str(BEGIN);
        file.push('\n');
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(LINE_COLUMNS));
            file.push_str(line);
            file.push('\n');
            rest = after;
        }
        file.push_str(END);
        file.push('\n');
        file
    }

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
    pub(super) fn message(&self) -> String {
        message(&self.enc)
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

fn message(enc: &str) -> String {
    format!("license/{enc}")
}

/// Decodes canonical base64: one encoding of each value, so that no bit of a file is free.
fn decode(what: &str, text: &str) -> Result<Vec<u8>, Refused> {
    STANDARD
        .decode(text)
        .map_err(|error| Refused::malformed(format!("{what}: {error}")))
}

/// No license is longer: about 330 entitlements with quotas and window bounds, and still a quarter
/// of a frame.
pub const LICENSE_BYTES_MAX: usize = 256 * 1024;

/// For the JSON inside, which is always shorter than the file.
pub(super) const LIMITS: Limits = Limits {
    bytes_max: LICENSE_BYTES_MAX,
};

/// Keygen's name for "base64 payload, Ed25519 signature"; the only one spoken.
const ALGORITHM: &str = "base64+ed25519";

/// RFC 7468's line length.
const LINE_COLUMNS: usize = 64;

const BEGIN: &str = "-----BEGIN LICENSE FILE-----";
const END: &str = "-----END LICENSE FILE-----";
