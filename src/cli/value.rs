//! Arguments with a grammar of their own.

use std::{error::Error, str::FromStr};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use provost_protocol::entity::Limit;

use crate::admin::body::LimitValue;

/// Reads one of the contract's words; the help lists them all.
pub(super) fn word<T>(
    all: &'static [T],
    as_str: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync + 'static> + Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|one| as_str(*one))).try_map(|word| word.parse())
}

/// Reads a limit as the admin API writes it: a number, `true`, `false` or `unlimited`.
pub(super) fn limit(text: &str) -> Result<LimitValue, String> {
    let limit = match text {
        "true" => Limit::Flag(true),
        "false" => Limit::Flag(false),
        "unlimited" => Limit::Unlimited,
        number => Limit::Quota(
            number
                .parse()
                .map_err(|_| "a whole number, true, false or unlimited".to_owned())?,
        ),
    };
    Ok(LimitValue(limit))
}

/// Reads `name=value`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("name=value".to_owned()),
    }
}
