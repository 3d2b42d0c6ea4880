//! The entitlements of a license as its payload includes them, written by hand.
//!
//! They are nearly all of a license's bytes, and a license is built as often as a fleet of
//! runtimes asks: through a serializer they would take a third of the time that signing them takes.
//! Nothing in them is ever to be escaped: features, words, ids, times and numbers have grammars
//! without quotes, backslashes and control characters. What stands here is what
//! [`super::payload`] reads.

use std::{fmt::Display, io::Write as _};

use super::{LicenseEntitlement, payload::ENTITLEMENTS};
use crate::{
    Timestamp,
    entity::{Feature, Limit},
};

/// How much [`write`] will write, or a little more, where limits are not enormous.
pub(super) fn expected(entitlements: &[LicenseEntitlement]) -> usize {
    let each = |entitlement: &LicenseEntitlement| {
        let feature = &entitlement.feature;
        let feature = feature.key().len() + feature.resource().map_or(0, |name| name.len() + 1);
        let own = entitlement.runtime.map_or(0, |_| OWN_BYTES);
        3 * feature + own + EACH_BYTES
    };
    entitlements.iter().map(each).sum::<usize>() + 2
}

/// Writes the array.
pub(super) fn write(entitlements: &[LicenseEntitlement], out: &mut Vec<u8>) {
    out.push(b'[');
    for (number, entitlement) in entitlements.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        resource(entitlement, out);
    }
    out.push(b']');
}

fn resource(of: &LicenseEntitlement, out: &mut Vec<u8>) {
    text(br#"{"type":""#, ENTITLEMENTS, out);
    out.extend_from_slice(br#"","id":""#);
    feature(&of.feature, out);
    if let Some(runtime) = of.runtime {
        shown(b"@", &runtime, out);
    }
    out.extend_from_slice(br#"","attributes":{"name":""#);
    feature(&of.feature, out);
    out.extend_from_slice(br#"","code":""#);
    feature(&of.feature, out);
    time(br#"","created":""#, of.created, out);
    time(br#"","updated":""#, of.updated, out);
    limit(of.limit, out);
    if let Some(kind) = of.time_window {
        shown(br#","time_window":""#, &kind, out);
        out.push(b'"');
    }
    text(br#","mode":""#, of.mode.as_str(), out);
    time(br#"","valid_until":""#, of.valid_until, out);
    out.push(b'"');
    if let Some(runtime) = of.runtime {
        shown(br#","runtime":""#, &runtime, out);
        out.push(b'"');
    }
    if let Some((start, end)) = of.window {
        time(br#","window":{"start":""#, start, out);
        time(br#"","end":""#, end, out);
        out.extend_from_slice(br#""}"#);
    }
    // Keygen's SDKs demand the last member; ours has nothing to say in it.
    out.extend_from_slice(br#"},"relationships":{}}"#);
}

fn feature(feature: &Feature, out: &mut Vec<u8>) {
    out.extend_from_slice(feature.key().as_bytes());
    if let Some(resource) = feature.resource() {
        text(b":", resource, out);
    }
}

/// After the quote that ends what stood before.
fn limit(limit: Limit, out: &mut Vec<u8>) {
    match limit {
        Limit::Flag(true) => out.extend_from_slice(br#"","limit":{"flag":true}"#),
        Limit::Flag(false) => out.extend_from_slice(br#"","limit":{"flag":false}"#),
        Limit::Unlimited => out.extend_from_slice(br#"","limit":"unlimited""#),
        Limit::Quota(units) => {
            shown(br#"","limit":{"quota":"#, &units, out);
            out.push(b'}');
        }
    }
}

fn text(before: &[u8], text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    out.extend_from_slice(text.as_bytes());
}

fn time(before: &[u8], moment: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    out.extend_from_slice(&moment.to_ascii());
}

fn shown(before: &[u8], value: &dyn Display, out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    write!(out, "{value}").expect("a vector takes all that is written");
}

/// All of an entitlement with a window but what its feature and its runtime add.
const EACH_BYTES: usize = 352;

/// Its runtime, in two places.
const OWN_BYTES: usize = 90;
