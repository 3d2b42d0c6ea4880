//! Which events of a log are asked for, and where a page begins.

use std::{fmt, str::FromStr};

use provost_kernel::limits::AUDIT_TYPE_BYTES_MAX;
use provost_protocol::{Code, CorrelationId, RuntimeId, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{admin::page::read_cursor, problem::Refusal};

/// The query as it came. Everything that has a grammar is text here, so that a refusal can name it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    limit: Option<usize>,
    /// In order, events after this sequence.
    after: Option<u64>,
    #[serde(rename = "page[cursor]")]
    cursor: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    actor: Option<String>,
    runtime_id: Option<String>,
    correlation_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// What an event must be; all of it at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) kind: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) runtime: Option<RuntimeId>,
    pub(super) correlation: Option<CorrelationId>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Newest first, before this sequence; without one, from the end.
    Before(Option<u64>),
    /// In order, after this sequence.
    After(u64),
}

/// What a cursor says: the place, and for which filters it is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    place: Place,
    filters: String,
}

impl Wanted {
    pub(super) const fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Reads the filters.
    pub(super) fn filters(&self) -> Result<Filters, Refusal> {
        let filters = Filters {
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
            kind: word("type", self.kind.as_deref(), AUDIT_TYPE_BYTES_MAX)?,
            actor: word("actor", self.actor.as_deref(), ACTOR_BYTES_MAX)?,
            runtime: id("runtime_id", self.runtime_id.as_deref())?,
            correlation: id("correlation_id", self.correlation_id.as_deref())?,
        };
        let empty = filters
            .since
            .zip(filters.until)
            .is_some_and(|(since, until)| since >= until);
        if empty {
            return Err(invalid("until: not after since".to_owned()));
        }
        Ok(filters)
    }

    /// Reads where the page begins.
    pub(super) fn place(&self, filters: &Filters) -> Result<Place, Refusal> {
        let place = match (self.after, &self.cursor) {
            (None, None) => Place::Before(None),
            (Some(seq), None) => Place::After(seq),
            (None, Some(text)) => {
                let cursor: Cursor = read_cursor(text)?;
                if cursor.filters != filters.digest() {
                    let text = "page[cursor] is of another query";
                    return Err(Refusal::new(Code::Malformed, text));
                }
                cursor.place
            }
            (Some(_), Some(_)) => {
                let text = "after: a cursor says already where to begin";
                return Err(invalid(text.to_owned()));
            }
        };
        if matches!(place, Place::After(_)) && *filters != Filters::default() {
            let text = "after: a filtered log is read newest first";
            return Err(invalid(text.to_owned()));
        }
        Ok(place)
    }
}

impl Filters {
    /// Tells filters apart in a cursor; empty for no filter at all.
    fn digest(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        let parts = [
            self.since.map(|time| time.to_string()),
            self.until.map(|time| time.to_string()),
            self.kind.clone(),
            self.actor.clone(),
            self.runtime.map(|id| id.to_string()),
            self.correlation.map(|id| id.to_string()),
        ];
        let mut hasher = Sha256::new();
        for part in parts {
            // No filter and an empty one differ, and no part runs into the next.
            let part = part.as_deref();
            hasher.update([u8::from(part.is_some())]);
            let text = part.unwrap_or_default();
            hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(text);
        }
        hex::encode(&hasher.finalize()[..DIGEST_BYTES])
    }
}

impl Cursor {
    pub(super) fn new(place: Place, filters: &Filters) -> Self {
        Self {
            place,
            filters: filters.digest(),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            // There is no page before the newest: such a cursor is never written.
            Place::Before(None) => f.write_str("before:")?,
            Place::Before(Some(seq)) => write!(f, "before:{seq}")?,
            Place::After(seq) => write!(f, "after:{seq}")?,
        }
        if self.filters.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", self.filters)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, ':');
        let (Some(side), Some(seq)) = (parts.next(), parts.next()) else {
            return Err(());
        };
        let seq = seq.parse().map_err(|_| ())?;
        let place = match side {
            "before" => Place::Before(Some(seq)),
            "after" => Place::After(seq),
            _ => return Err(()),
        };
        let filters = parts.next().unwrap_or_default().to_owned();
        Ok(Self { place, filters })
    }
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let read = |text: &str| {
        text.parse()
            .map_err(|error| invalid(format!("{name}: {error}")))
    };
    text.map(read).transpose()
}

fn word(name: &str, text: Option<&str>, bytes_max: usize) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.is_empty() || text.len() > bytes_max => {
            Err(invalid(format!("{name}: 1 to {bytes_max} bytes")))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

fn id<T: FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Refusal> {
    let read = |text: &str| {
        text.parse()
            .map_err(|_| Refusal::new(Code::IdMalformed, format!("{name} is no id")))
    };
    text.map(read).transpose()
}

fn invalid(text: String) -> Refusal {
    Refusal::new(Code::Invalid, text)
}

/// As long as an actor's id may be in an envelope.
const ACTOR_BYTES_MAX: usize = 256;

/// Guards against a mistake, not against an attack: whoever asks may ask for anything.
const DIGEST_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::page::cursor;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn wanted(kind: &str) -> Wanted {
        Wanted {
            kind: Some(kind.to_owned()),
            ..Wanted::default()
        }
    }

    #[test]
    fn a_cursor_is_good_for_the_filters_it_was_made_for_and_no_others() {
        let filters = wanted("a").filters().unwrap();
        let text = cursor(&Cursor::new(Place::Before(Some(7)), &filters));
        let with = |kind: &str| Wanted {
            cursor: Some(text.clone()),
            ..wanted(kind)
        };
        assert_eq!(with("a").place(&filters), Ok(Place::Before(Some(7))));
        let other = with("b");
        let refused = other.place(&other.filters().unwrap()).unwrap_err();
        assert_eq!(refused.code(), Code::Malformed);
        let plain = Cursor::new(Place::After(7), &Filters::default());
        assert_eq!(plain.to_string(), "after:7");
        assert_eq!("after:7".parse(), Ok(plain));
    }

    #[test]
    fn no_filter_is_taken_for_another() {
        let one = |change: fn(&mut Wanted)| {
            let mut wanted = Wanted::default();
            change(&mut wanted);
            wanted.filters().unwrap().digest()
        };
        let mut digests = vec![
            one(|_| {}),
            one(|wanted| wanted.kind = Some("a".into())),
            one(|wanted| wanted.actor = Some("a".into())),
            one(|wanted| wanted.runtime_id = Some(ID.into())),
            one(|wanted| wanted.correlation_id = Some(ID.into())),
            one(|wanted| wanted.since = Some("2026-01-01T00:00:00Z".into())),
            one(|wanted| wanted.until = Some("2026-01-01T00:00:00Z".into())),
        ];
        let count = digests.len();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), count);
    }

    #[test]
    fn what_no_event_can_be_is_refused_by_name() {
        let long = "x".repeat(AUDIT_TYPE_BYTES_MAX + 1);
        for (wanted, code, said) in [
            (wanted(""), Code::Invalid, "type: 1 to 128 bytes"),
            (wanted(&long), Code::Invalid, "type: 1 to 128 bytes"),
            (
                Wanted {
                    since: Some("yesterday".into()),
                    ..Wanted::default()
                },
                Code::Invalid,
                "since: not an RFC 3339 time with an offset",
            ),
            (
                Wanted {
                    since: Some("2026-01-01T00:00:00Z".into()),
                    until: Some("2026-01-01T00:00:00Z".into()),
                    ..Wanted::default()
                },
                Code::Invalid,
                "until: not after since",
            ),
            (
                Wanted {
                    runtime_id: Some("1".into()),
                    ..Wanted::default()
                },
                Code::IdMalformed,
                "runtime_id is no id",
            ),
        ] {
            let refused = wanted.filters().unwrap_err();
            assert_eq!((refused.code(), &*refused.0.detail), (code, said));
        }
    }
}
