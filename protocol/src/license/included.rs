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
    let none = (Timestamp::EPOCH, Timestamp::EPOCH.to_ascii());
    let mut writer = Writer {
        out,
        times: [none; TIMES],
    };
    writer.raw(b"[");
    for (number, entitlement) in entitlements.iter().enumerate() {
        if number > 0 {
            writer.raw(b",");
        }
        writer.resource(entitlement);
    }
    writer.raw(b"]");
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// What stood last in each place for a time: often it is the same in the next entitlement.
    times: [(Timestamp, [u8; 24]); TIMES],
}

impl Writer<'_> {
    fn resource(&mut self, of: &LicenseEntitlement) {
        self.raw(br#"{"type":""#);
        self.raw(ENTITLEMENTS.as_bytes());
        self.raw(br#"","id":""#);
        self.feature(&of.feature);
        if let Some(runtime) = of.runtime {
            self.shown(b"@", &runtime);
        }
        self.raw(br#"","attributes":{"name":""#);
        self.feature(&of.feature);
        self.raw(br#"","code":""#);
        self.feature(&of.feature);
        self.time::<0>(br#"","created":""#, of.created);
        self.time::<1>(br#"","updated":""#, of.updated);
        self.limit(of.limit);
        if let Some(kind) = of.time_window {
            self.shown(br#","time_window":""#, &kind);
            self.raw(br#"""#);
        }
        self.raw(br#","mode":""#);
        self.raw(of.mode.as_str().as_bytes());
        self.time::<2>(br#"","valid_until":""#, of.valid_until);
        self.raw(br#"""#);
        if let Some(runtime) = of.runtime {
            self.shown(br#","runtime":""#, &runtime);
            self.raw(br#"""#);
        }
        if let Some((start, end)) = of.window {
            self.time::<3>(br#","window":{"start":""#, start);
            self.time::<4>(br#"","end":""#, end);
            self.raw(br#""}"#);
        }
        // Keygen's SDKs demand the last member; ours has nothing to say in it.
        self.raw(br#"},"relationships":{}}"#);
    }

    fn feature(&mut self, feature: &Feature) {
        self.raw(feature.key().as_bytes());
        if let Some(resource) = feature.resource() {
            self.raw(b":");
            self.raw(resource.as_bytes());
        }
    }

    /// After a text whose last quote is still to come.
    fn limit(&mut self, limit: Limit) {
        match limit {
            Limit::Flag(true) => self.raw(br#"","limit":{"flag":true}"#),
            Limit::Flag(false) => self.raw(br#"","limit":{"flag":false}"#),
            Limit::Unlimited => self.raw(br#"","limit":"unlimited""#),
            Limit::Quota(units) => {
                self.shown(br#"","limit":{"quota":"#, &units);
                self.raw(b"}");
            }
        }
    }

    fn time<const PLACE: usize>(&mut self, before: &[u8], moment: Timestamp) {
        self.raw(before);
        let last = &mut self.times[PLACE];
        if last.0 != moment {
            *last = (moment, moment.to_ascii());
        }
        self.out.extend_from_slice(&last.1);
    }

    fn shown(&mut self, before: &[u8], value: &dyn Display) {
        self.raw(before);
        write!(self.out, "{value}").expect("a vector takes all that is written");
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// Places for a time in an entitlement.
const TIMES: usize = 5;

/// All of an entitlement with a window but what its feature and its runtime add.
const EACH_BYTES: usize = 352;

/// Its runtime, in two places.
const OWN_BYTES: usize = 90;
