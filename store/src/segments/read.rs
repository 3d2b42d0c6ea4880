//! Events found and read: by key, by sequence, by what they carry.

use provost_journal::Position;
use provost_protocol::{TenantId, Timestamp, envelope::Envelope};

use super::{Segments, damaged};
use crate::{
    backend::{LookupKey, Range, ReadError, StoredEvent},
    convert::{to_u32, to_u64},
    index::{
        Entry, Filter, IndexError, Span, Table, lookup_keys, lookup_term, newest, query_terms,
    },
    query::{Query, QueryPage},
};

impl Segments {
    /// Finds for each key the newest event of the tenant that carries it.
    pub(crate) fn find(
        &self,
        tenant: TenantId,
        keys: &[LookupKey],
        since: Timestamp,
    ) -> Result<Vec<Option<StoredEvent>>, ReadError> {
        let mut found: Vec<Option<StoredEvent>> = vec![None; keys.len()];
        for holding in self.holding_since(tenant, Some(since)) {
            if found.iter().all(Option::is_some) {
                break;
            }
            let (segment, span) = holding?;
            // Not the end of the search: a clock that was set back leaves older segments younger.
            if span.latest < since {
                continue;
            }
            let missing = found
                .iter_mut()
                .zip(keys)
                .filter(|(slot, _)| slot.is_none());
            for (slot, key) in missing {
                let filter = Filter {
                    terms: vec![lookup_term(*key)],
                    since: Some(since),
                    until: None,
                };
                let carries = |envelope: &Envelope| lookup_keys(envelope).contains(key);
                let cut = Cut {
                    before: u64::MAX,
                    room: 1,
                };
                *slot = self
                    .collect((segment, tenant), &filter, cut, &carries)?
                    .pop();
            }
        }
        Ok(found)
    }

    /// Reads a stretch of one tenant's log.
    pub(crate) fn read(
        &self,
        tenant: TenantId,
        range: &Range,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let newest_first = self.holding(tenant);
        // What stands after a sequence stands in the newest segments.
        let after = newest_first.take_while(|holding| {
            let holding = holding.as_ref();
            holding.map_or(true, |(_, span)| span.last_seq() > range.after)
        });
        let segments: Box<dyn Iterator<Item = _>> = if range.newest_before.is_some() {
            Box::new(after)
        } else {
            let oldest_first: Vec<_> = after.collect();
            Box::new(oldest_first.into_iter().rev())
        };
        let mut events = Vec::new();
        for holding in segments {
            let wanted = range.limit - events.len();
            if wanted == 0 {
                break;
            }
            let (segment, _) = holding?;
            for entry in self.look((segment, tenant), |table| stretch(table, range, wanted))? {
                events.push(self.event(segment, tenant, entry)?);
            }
        }
        Ok(events)
    }

    /// One page of one tenant's events that match.
    pub(crate) fn query(&self, tenant: TenantId, query: &Query) -> Result<QueryPage, ReadError> {
        let filter = Filter {
            terms: query_terms(query),
            since: query.since,
            until: query.until,
        };
        let before = query.before.unwrap_or(u64::MAX);
        let mut events = Vec::new();
        let matches = |envelope: &Envelope| query.matches(envelope);
        for holding in self.holding_since(tenant, query.since) {
            if events.len() >= query.room() {
                break;
            }
            let (segment, span) = holding?;
            if span.first_seq >= before || !filter.reaches(span.earliest, span.latest) {
                continue;
            }
            let cut = Cut {
                before,
                room: query.room() - events.len(),
            };
            events.extend(self.collect((segment, tenant), &filter, cut, &matches)?);
        }
        Ok(query.page(events))
    }

    /// What matches in one segment, newest first.
    fn collect(
        &self,
        place: (u64, TenantId),
        filter: &Filter,
        mut cut: Cut,
        matches: &dyn Fn(&Envelope) -> bool,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let mut events = Vec::new();
        loop {
            let wanted = cut.room - events.len();
            let entries = self.look(place, |table| newest(table, filter, cut.before, wanted))?;
            let all = entries.len() < wanted;
            for entry in entries {
                cut.before = entry.seq;
                // Hashes collide, and a term names candidates only.
                let event = self.event(place.0, place.1, entry)?;
                if matches(&event.envelope) {
                    events.push(event);
                }
            }
            if all || events.len() >= cut.room {
                return Ok(events);
            }
        }
    }

    /// Reads one event; that it is the one meant is checked, because the index is a file apart.
    pub(super) fn event(
        &self,
        segment: u64,
        tenant: TenantId,
        entry: Entry,
    ) -> Result<StoredEvent, ReadError> {
        let at = Position::new(segment, entry.offset);
        let record = self
            .reader
            .read_at(at)
            .map_err(|error| self.unread(&error))?;
        if (record.tenant, record.seq) != (tenant, entry.seq) {
            return Err(damaged(format!("the index names another event at {at}")));
        }
        let envelope = Envelope::from_bytes(&record.payload).map_err(damaged)?;
        Ok(StoredEvent {
            envelope,
            bytes: record.payload,
        })
    }
}

/// How much of the candidates is wanted.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Sequences below this one.
    before: u64,
    /// Until so many events are there.
    room: usize,
}

/// The entries of one table that a range asks for, in its order.
fn stretch(table: &dyn Table, range: &Range, wanted: usize) -> Result<Vec<Entry>, IndexError> {
    let span: Span = table.span();
    let first = span.first_seq.max(range.after.saturating_add(1));
    let last = match range.newest_before {
        Some(before) => span.last_seq().min(before.saturating_sub(1)),
        None => span.last_seq(),
    };
    let Some(there) = last.checked_sub(first).and_then(|more| more.checked_add(1)) else {
        return Ok(Vec::new());
    };
    let taken = there.min(to_u64(wanted));
    let from = match range.newest_before {
        Some(_) => last + 1 - taken,
        None => first,
    };
    let number = u32::try_from(from - span.first_seq).unwrap_or(u32::MAX);
    let offsets = table.offsets(number, u32::try_from(taken).unwrap_or(to_u32(wanted)))?;
    let entries = (from..).zip(offsets).map(|(seq, offset)| Entry {
        seq,
        offset: u64::from(offset),
    });
    Ok(match range.newest_before {
        Some(_) => {
            let mut entries: Vec<Entry> = entries.collect();
            entries.reverse();
            entries
        }
        None => entries.collect(),
    })
}
