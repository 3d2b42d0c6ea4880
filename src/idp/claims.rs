//! What a token says, judged against what its provider was set up for.

use std::collections::BTreeMap;

use provost_actors::TokenRefused;
use provost_kernel::limits::{
    CLAIM_NAME_BYTES_MAX, CLAIM_VALUE_BYTES_MAX, CLAIMS_MAX, SUBJECT_BYTES_MAX,
};
use provost_protocol::{Timestamp, event::ProviderSettings};
use serde_json::{Map, Value};

/// The claims of one token; each one that is needed is there and of its type.
pub(super) struct Claims {
    /// `iss`.
    pub(super) issuer: String,
    /// `sub`.
    pub(super) subject: String,
    /// `exp`.
    pub(super) expires: Timestamp,
    not_before: Option<Timestamp>,
    issued: Option<Timestamp>,
    all: Map<String, Value>,
}

impl Claims {
    /// Reads the claims that every token must have.
    pub(super) fn read(all: Map<String, Value>) -> Result<Self, TokenRefused> {
        let word = |name| all.get(name).and_then(Value::as_str).map(str::to_owned);
        let issuer = word("iss").ok_or(TokenRefused::Refused("it names no issuer"))?;
        let subject = word("sub").ok_or(TokenRefused::Refused("it names nobody"))?;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
            return Err(TokenRefused::Refused("its subject is empty or too long"));
        }
        let expires = time(&all, "exp")?.ok_or(TokenRefused::Refused("it has no end"))?;
        let (not_before, issued) = (time(&all, "nbf")?, time(&all, "iat")?);
        Ok(Self {
            issuer,
            subject,
            expires,
            not_before,
            issued,
            all,
        })
    }

    /// Says whether the token is for us and good now.
    pub(super) fn judge(
        &self,
        settings: &ProviderSettings,
        now: Timestamp,
    ) -> Result<(), TokenRefused> {
        if !self.is_for(&settings.audience) {
            return Err(TokenRefused::Refused("it is for another audience"));
        }
        if now >= self.expires.plus_millis(LEEWAY_MS) {
            return Err(TokenRefused::Refused("it has expired"));
        }
        let latest = now.plus_millis(LEEWAY_MS);
        if self.not_before.is_some_and(|begins| begins > latest) {
            return Err(TokenRefused::Refused("it is not valid yet"));
        }
        if self
            .issued
            .is_some_and(|issued| issued > latest || issued > self.expires)
        {
            return Err(TokenRefused::Refused(
                "it was issued in the future, or after its end",
            ));
        }
        for (name, value) in &settings.required_claims {
            if self.all.get(name).and_then(scalar).as_ref() != Some(value) {
                return Err(TokenRefused::Refused(
                    "it lacks a claim that the provider requires",
                ));
            }
        }
        Ok(())
    }

    /// The roles, where the provider's settings name a claim that holds them: as it stands, or
    /// as a path of names with dots between.
    pub(super) fn roles(&self, settings: &ProviderSettings) -> Vec<String> {
        let Some(name) = &settings.roles_claim else {
            return Vec::new();
        };
        let found = self.all.get(name).or_else(|| {
            let mut names = name.split('.');
            let first = self.all.get(names.next()?)?;
            names.try_fold(first, |value, name| value.get(name))
        });
        let mut roles: Vec<String> = match found {
            Some(Value::String(role)) => vec![role.clone()],
            Some(Value::Array(roles)) => roles
                .iter()
                .filter_map(|role| role.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        roles.retain(|role| is_fit(role, CLAIM_NAME_BYTES_MAX));
        roles.sort_unstable();
        roles.dedup();
        // A role that is left out only ever takes a right away.
        roles.truncate(CLAIMS_MAX);
        roles
    }

    /// The claims worth keeping: the standard ones about a person, and those the provider
    /// requires. What is too long to keep is left out.
    pub(super) fn attributes(&self, settings: &ProviderSettings) -> BTreeMap<String, String> {
        let required = settings.required_claims.keys().map(String::as_str);
        PERSONAL
            .into_iter()
            .chain(required)
            .filter_map(|name| Some((name.to_owned(), scalar(self.all.get(name)?)?)))
            .map(|(name, value)| (name, value.trim().to_owned()))
            .filter(|(_, value)| is_fit(value, CLAIM_VALUE_BYTES_MAX))
            .take(CLAIMS_MAX)
            .collect()
    }

    /// One audience, or ours among several.
    fn is_for(&self, audience: &str) -> bool {
        match self.all.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }
}

/// A NumericDate (RFC 7519, section 2): seconds, perhaps with a fraction, which is cut off.
fn time(all: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, TokenRefused> {
    let Some(value) = all.get(name) else {
        return Ok(None);
    };
    let text = value
        .as_number()
        .map(ToString::to_string)
        .unwrap_or_default();
    let whole = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, _)| whole);
    let seconds: i64 = whole
        .parse()
        .map_err(|_| TokenRefused::Refused("one of its times is no time"))?;
    Ok(Some(Timestamp::from_millis(seconds.saturating_mul(1_000))))
}

/// A claim's value as text: strings as they are, `true`, `false` and numbers as JSON writes them.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_fit(text: &str, bytes_max: usize) -> bool {
    !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control)
}

/// Machines that keep time differ by less; more would lengthen every token's life.
const LEEWAY_MS: u64 = 30 * 1_000;

/// OpenID Connect's standard claims that say who somebody is. Not `picture`, `address`, `phone`:
/// the kernel needs none of them, and what is not kept cannot leak.
const PERSONAL: [&str; 9] = [
    "email",
    "email_verified",
    "family_name",
    "given_name",
    "locale",
    "name",
    "nickname",
    "preferred_username",
    "zoneinfo",
];
