//! What `--check` asks of the sidecar: can `monitor_user` log in, and may it see what it has to?

use super::locks::number;
use super::plan::{self, HOME};
use super::session::{ASK_LIMIT, AskError, Session};
use crate::pool::Live;
use crate::server::Dialing;

/// One line per server; none without `monitor_user`. At most a few seconds per server.
pub async fn report(live: &Live, dialing: &Dialing) -> Vec<String> {
    let (plans, _) = plan::plans(dialing, live);
    let mut lines = Vec::new();
    for plan in plans {
        let (server, user) = (&plan.server, &plan.door.user);
        lines.push(match may_see(&plan.door).await {
            Ok(true) => format!("{server}: {user} logs in and may see all sessions"),
            Ok(false) => {
                format!("{server}: {user} logs in and sees too little: GRANT pg_monitor TO {user}")
            }
            Err(error) => format!("{server}: {user} cannot be used: {error}"),
        });
    }
    lines
}

async fn may_see(door: &super::session::Door) -> Result<bool, AskError> {
    let session = Session::open(door, HOME).await?;
    let sql = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::int AS may_see";
    let rows = session.rows(sql, ASK_LIMIT).await;
    session.close().await;
    Ok(rows?.first().and_then(|row| number(row, "may_see")) == Some(1))
}
