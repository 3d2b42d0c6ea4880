//! Versions of the contract: the kernel speaks N and N-1 (KC-024).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A version of the contract.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub enum ContractVersion {
    /// The owner's text.
    #[serde(rename = "v0.1")]
    V0_1,
    /// What on-prem life needs.
    #[serde(rename = "v0.2")]
    V0_2,
}

impl ContractVersion {
    /// Every version spoken, oldest first: N-1 and N.
    pub const SPOKEN: [Self; 2] = [Self::V0_1, Self::V0_2];

    /// As it stands in `X-Contract-Version`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1 => "v0.1",
            Self::V0_2 => "v0.2",
        }
    }

    /// Picks the highest version that both sides speak.
    #[must_use]
    pub fn negotiate(offered: &[String]) -> Option<Self> {
        Self::SPOKEN
            .into_iter()
            .rev()
            .find(|version| offered.iter().any(|text| text == version.as_str()))
    }
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A version this build does not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("contract versions spoken here: v0.1, v0.2")]
pub struct UnknownVersion;

impl FromStr for ContractVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        Self::SPOKEN
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or(UnknownVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_both_speak_is_chosen() {
        let offer = |texts: &[&str]| texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        for (offered, chosen) in [
            (offer(&["v0.1"]), Some(ContractVersion::V0_1)),
            (offer(&["v0.1", "v0.2"]), Some(ContractVersion::V0_2)),
            (offer(&["v0.2", "v0.3"]), Some(ContractVersion::V0_2)),
            (offer(&["v0.3"]), None),
            (offer(&[]), None),
        ] {
            assert_eq!(ContractVersion::negotiate(&offered), chosen, "{offered:?}");
        }
    }
}
