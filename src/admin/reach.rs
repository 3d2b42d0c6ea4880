//! Which tenants a caller reaches, and what may be done there; how changes and reads are made.

use std::sync::Arc;

use provost_actors::{Executed, Guard, TenantError};
use provost_kernel::{
    Command, State,
    state::{Entity, EntityKey, TenantRecord},
};
use provost_protocol::{Code, TenantId, entity::Role};

use super::{Admin, auth::Caller, call::Call};
use crate::problem::Refusal;

/// What a caller wants to do in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Look, or act within what the tenant may do: its own keys suffice.
    Within,
    /// Decide what the tenant may do. No tenant decides that about itself: a customer's admin could
    /// otherwise resume what its vendor has suspended, or grant what it has not bought.
    Govern,
}

impl Caller {
    /// Whether a tenant is seen at all.
    pub(super) fn sees(&self, tenant: &TenantRecord) -> bool {
        match self.role {
            Role::SuperAdmin => true,
            Role::Admin | Role::Auditor => {
                tenant.id == self.key.tenant() || tenant.operator == Some(self.key.tenant())
            }
        }
    }
}

impl Admin {
    /// Finds a tenant in which the caller may do this. One it may not see is not found.
    pub(super) async fn reach(
        &self,
        caller: &Caller,
        tenant: TenantId,
        act: Act,
    ) -> Result<TenantRecord, Refusal> {
        let record = self
            .tenant_record(tenant)
            .await?
            .filter(|record| caller.sees(record));
        let record = record.ok_or_else(Refusal::not_found)?;
        let own = tenant == caller.key.tenant() && caller.role != Role::SuperAdmin;
        if act == Act::Govern && own {
            let text = "needs a key of the tenant's operator, or of role super_admin";
            return Err(Refusal::new(Code::RoleInsufficient, text));
        }
        Ok(record)
    }

    /// Reads a tenant's own record without waking it.
    pub(super) async fn tenant_record(
        &self,
        tenant: TenantId,
    ) -> Result<Option<TenantRecord>, Refusal> {
        match self.entity(tenant, EntityKey::Tenant).await?.as_deref() {
            Some(Entity::Tenant(record)) => Ok(Some(record.clone())),
            _ => Ok(None),
        }
    }

    /// Reads one entity without waking its tenant.
    pub(super) async fn entity(
        &self,
        tenant: TenantId,
        key: EntityKey,
    ) -> Result<Option<Arc<Entity>>, Refusal> {
        let found = self.backend().entities(tenant, vec![key]).await?;
        Ok(found.into_iter().find_map(|(_, entity)| entity))
    }

    /// Has a command decided in a tenant that exists; what follows is durable.
    pub(super) async fn execute(
        &self,
        call: &Call,
        tenant: TenantId,
        command: Command,
    ) -> Result<Executed, Refusal> {
        self.decide(call, tenant, command, || None).await
    }

    /// The same for what has a tag: where the caller names what it has read, that is compared with
    /// what the command is decided on, in the same turn. `tag` looks at what the command needs.
    pub(super) async fn execute_tagged(
        &self,
        call: &Call,
        tenant: TenantId,
        command: Command,
        tag: impl Fn(&State) -> Option<String> + Clone + Send + 'static,
    ) -> Result<Executed, Refusal> {
        self.decide(call, tenant, command, || call.guard(tag.clone()))
            .await
    }

    async fn decide(
        &self,
        call: &Call,
        tenant: TenantId,
        command: Command,
        guard: impl Fn() -> Option<Guard>,
    ) -> Result<Executed, Refusal> {
        let directory = &self.context.directory;
        let mut again = true;
        loop {
            let handle = directory.tenant(tenant).await?;
            let (command, meta) = (command.clone(), call.meta());
            let executed = match guard() {
                Some(guard) => handle.execute_if(guard, command, meta).await,
                None => handle.execute(command, meta).await,
            };
            match executed {
                // It fell asleep after it was found: nothing was written, so once more.
                Err(TenantError::Gone) if again => again = false,
                other => return Ok(other?),
            }
        }
    }
}
