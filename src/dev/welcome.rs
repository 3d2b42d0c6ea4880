//! What a developer reads first: where to go, and the same walk by curl.

use anyhow::Context as _;

use super::world::{COURSE, LOCKED_COURSE, PASSWORD, USER, World};

/// Writes it, with the ids and ports of this world. The lines between the two marks run in a shell.
pub(super) async fn text(world: &World, tenant: &str) -> anyhow::Result<String> {
    let status = world.local.status().await?;
    let runtime = status["runtime_id"]
        .as_str()
        .context("the connector names no runtime")?;
    let dir = world.home.dir.display().to_string();
    let ports = world.home.ports;
    let operator = &world.operator;
    let event = uuid::Uuid::now_v7();
    Ok(format!(
        r#"
Provost is running. Everything lies in {dir}; Ctrl-C stops it.

  pilot      {courses}
  user       {USER}
  password   {PASSWORD}
             one course is granted ({COURSE}), the others are locked

The same walk by curl:

# with the runtime's own certificate: register, beat, ask, report
KEYS="{dir}/connector/keys"
KERNEL=https://127.0.0.1:{kernel}/kernel
call() {{ curl -sS --cert "$KEYS/runtime.pem" --key "$KEYS/runtime.key" --cacert "$KEYS/root.pem" \
  -H 'X-Contract-Version: v0.1' -H 'X-Runtime-Id: {runtime}' -H 'Content-Type: application/json' "$@"; echo; }}
TOKEN=$(call $KERNEL/runtimes/register -H 'X-Tenant-Id: {operator}' -d '{{"tenant_id":"{operator}","runtime_type":"courses","deployment_mode":"shared","version":"curl","capabilities":[]}}' | sed 's/.*"runtime_token":"\([^"]*\)".*/\1/')
call $KERNEL/runtimes/{runtime}/heartbeat -H 'X-Tenant-Id: {operator}' -H "Authorization: Bearer $TOKEN" -d '{{"status":"healthy"}}'
call $KERNEL/entitlements/check -H 'X-Tenant-Id: {tenant}' -H "Authorization: Bearer $TOKEN" -d '{{"tenant_id":"{tenant}","runtime_id":"{runtime}","feature":"course_access","context":{{"resource":"{COURSE}"}}}}'
call $KERNEL/entitlements/check -H 'X-Tenant-Id: {tenant}' -H "Authorization: Bearer $TOKEN" -d '{{"tenant_id":"{tenant}","runtime_id":"{runtime}","feature":"course_access","context":{{"resource":"{LOCKED_COURSE}"}}}}'
call $KERNEL/audit/events -H 'X-Tenant-Id: {tenant}' -H "Authorization: Bearer $TOKEN" -d '{{"event":{{"event_id":"{event}","tenant_id":"{tenant}","actor_type":"runtime","actor_id":"curl","type":"tour.taken","timestamp":"{now}","correlation_id":"{event}","payload":{{}}}}}}'
# with the admin key: look, suspend, resume
ADMIN=http://127.0.0.1:{admin}/v1
admin() {{ curl -sS -H "Authorization: Bearer $(cat "{dir}/kernel/admin.key")" "$@"; echo; }}
admin $ADMIN/status
admin "$ADMIN/tenants/{tenant}/audit?limit=5"
admin -X POST $ADMIN/tenants/{tenant}/suspend -H 'Content-Type: application/json' -d '{{"reason":"tour"}}'
curl -sS http://127.0.0.1:{local}/status; echo
admin -X POST $ADMIN/tenants/{tenant}/resume -H 'Content-Type: application/json' -d '{{"reason":"tour"}}'
curl -sS 'http://127.0.0.1:{local}/license?tenant={tenant}'
# end of the walk
"#,
        courses = world.courses_url(),
        kernel = ports.runtime,
        admin = ports.admin,
        local = ports.connector,
        now = provost_actors::Clock::now(&provost_actors::SystemClock),
    ))
}
