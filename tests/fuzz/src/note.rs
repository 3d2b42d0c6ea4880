//! Signed notes and the keys that verify them.

use provost_protocol::{
    InstallId,
    note::{SignedTime, parse_verifier_key, verifier_key, verify_note},
};

/// Reads any text as a note and as a verifier key. No key here has signed anything but what stands
/// in the seeds, so nothing is believed that is not one of them.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok((name, key)) = parse_verifier_key(text) {
        assert_eq!(verifier_key(name, &key), text);
    }
    let name = text.lines().next().unwrap_or_default();
    if let Ok(signed) = verify_note(text, name, &crate::STRANGER) {
        panic!("believed without a signature: {signed:?}");
    }
    let install: InstallId = INSTALL.parse().expect("an id");
    assert!(SignedTime::verify(text, install, &crate::STRANGER).is_err());
}

/// The installation in the golden note.
const INSTALL: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
