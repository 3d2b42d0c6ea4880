//! Alarms of the installation itself.

use provost_protocol::{
    entity::TenantType,
    event::{DAMAGED_TENANTS_MAX, Event, JournalDamaged},
};

use super::tenant_of;
use crate::{Rejection, State, command::Alarm, limits::REASON_BYTES_MAX};

/// Records an alarm. What does not fit is left out: an alarm is never refused for being long.
pub(super) fn raise(state: &State, alarm: &Alarm) -> Result<Vec<Event>, Rejection> {
    tenant_of(state)?;
    if !state.is_type(TenantType::Internal) {
        return Err(Rejection::invalid(
            "tenant",
            "alarms are the installation's",
        ));
    }
    Ok(vec![match alarm {
        Alarm::DiskLow(low) => low.clone().into(),
        Alarm::DiskRecovered(recovered) => recovered.clone().into(),
        Alarm::JournalDamaged(damaged) => shortened(damaged).into(),
    }])
}

fn shortened(damaged: &JournalDamaged) -> JournalDamaged {
    let text = |text: &str| {
        let end = text.floor_char_boundary(REASON_BYTES_MAX);
        text[..end].to_owned()
    };
    JournalDamaged {
        file: text(&damaged.file),
        offset: damaged.offset,
        tenants: damaged
            .tenants
            .iter()
            .take(DAMAGED_TENANTS_MAX)
            .copied()
            .collect(),
        why: text(&damaged.why),
    }
}

#[cfg(test)]
mod tests {
    use provost_protocol::{
        CorrelationId, TenantId, Timestamp,
        entity::Policies,
        envelope::{ActorRef, ENVELOPE_BYTES_MAX, Envelope, Source},
        event::{DiskLow, TenantCreated},
    };

    use super::*;
    use crate::{At, apply};

    fn tenant() -> TenantId {
        TenantId::from_parts(Timestamp::EPOCH, [1; 10])
    }

    fn state(tenant_type: TenantType) -> State {
        let mut state = State::new(tenant(), 1);
        let created = TenantCreated {
            tenant_type,
            name: "internal".to_owned(),
            policies: Policies::default(),
            operator: None,
            time_zone: "UTC".to_owned(),
            subject: None,
        };
        let at = At {
            tenant: tenant(),
            epoch: 1,
            seq: 1,
            time: Timestamp::EPOCH,
        };
        apply(&mut state, at, &created.into());
        state
    }

    #[test]
    fn an_alarm_stands_in_the_internal_tenants_log_only() {
        let low = DiskLow {
            free_bytes: 1,
            low_bytes: 2,
        };
        let alarm = Alarm::DiskLow(low.clone());
        assert_eq!(
            raise(&state(TenantType::Internal), &alarm),
            Ok(vec![low.into()])
        );
        assert!(raise(&state(TenantType::Company), &alarm).is_err());
        assert!(raise(&State::new(tenant(), 1), &alarm).is_err());
    }

    #[test]
    fn an_alarm_that_says_too_much_is_cut_and_still_fits_in_an_envelope() {
        let damaged = JournalDamaged {
            file: "é".repeat(4_000),
            offset: u64::MAX,
            tenants: vec![tenant(); 5_000],
            why: "\u{1}".repeat(4_000),
        };
        let alarm = Alarm::JournalDamaged(damaged);
        let event = raise(&state(TenantType::Internal), &alarm)
            .unwrap()
            .remove(0);
        let envelope = Envelope {
            tenant: tenant(),
            epoch: 1,
            seq: 2,
            time: Timestamp::EPOCH,
            actor: ActorRef::system(),
            source: Source::Kernel,
            correlation_id: CorrelationId::from_parts(Timestamp::EPOCH, [1; 10]),
            idempotency: None,
            event,
        };
        assert!(envelope.to_bytes().unwrap().len() <= ENVELOPE_BYTES_MAX);
    }
}
