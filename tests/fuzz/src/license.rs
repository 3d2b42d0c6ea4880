//! License files.

use provost_protocol::{
    Timestamp,
    license::{Held, VerifyingKey, verify},
};

/// Verifies any bytes as a license, by the key of the golden one: whatever is believed says exactly
/// what that one says.
pub fn target(data: &[u8]) {
    let key = hex::decode(KEY.trim()).expect("a golden key");
    let keys = [VerifyingKey::new(key.try_into().expect("32 bytes"))];
    let held = Held::default();
    let now: Timestamp = "2026-11-22T06:00:00Z".parse().expect("a time");
    if let Ok(verified) = verify(data, &keys, now, &held) {
        let golden = verify(GOLDEN, &keys, now, &held).expect("the golden license is genuine");
        assert_eq!(verified.document, golden.document);
    }
}

const GOLDEN: &[u8] = include_bytes!("../../../protocol/golden/license/standard.lic");
const KEY: &str = include_str!("../../../protocol/golden/license/key.pub.hex");
