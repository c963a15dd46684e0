//! Scenarios on one deployment.

pub(crate) mod attack;
pub(crate) mod control;
pub(crate) mod crowd;
pub(crate) mod idle;
pub(crate) mod limit;
mod options;
mod outage;
mod search;

pub(crate) use options::{LoadOptions, SenderOptions, ServedOptions};

use anyhow::Result;

use crate::{
    measure::{Audit, Done},
    report::{Report, Rule, Sheet},
    servers::Deployment,
};

/// Compares the ledger, if there is one, with what was done, and stops the servers. Returns the rules of the ledger.
pub(crate) async fn close(
    deployment: Deployment,
    done: &[Done],
    (sheet, column): (&mut Sheet, &str),
    report: &mut Report,
) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    if let Some(audit) = deployment.audit(done).await? {
        report.errors.extend(audit.report(sheet, column));
        let prefix = if column.is_empty() { String::new() } else { format!("{column}_") };
        rules = zero(&prefix, &Audit::CORRECT);
    }
    if let Some(postgres) = deployment.postgres() {
        report.notes.push(format!("PostgreSQL: {}", postgres.durability().await?));
    }
    deployment.stop().await?;
    Ok(rules)
}

pub(crate) fn zero(prefix: &str, figures: &[&str]) -> Vec<Rule> {
    figures.iter().map(|figure| Rule::equal(&format!("{prefix}{figure}"), 0.0)).collect()
}
