//! The migrations of the schema, oldest first, and the check that keeps an older program from
//! writing to a migrated database.

use std::sync::LazyLock;

/// One migration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) version: i64,
    pub(super) sql: &'static str,
}

/// All migrations, oldest first.
pub(super) const STEPS: &[Step] = &[
    Step { version: 1, sql: include_str!("migrations/0001_scans_and_nodes.surql") },
    Step { version: 2, sql: include_str!("migrations/0002_drain_and_pause.surql") },
    Step { version: 3, sql: include_str!("migrations/0003_lists_and_trends.surql") },
    Step { version: 4, sql: include_str!("migrations/0004_submitters_and_restore.surql") },
    Step { version: 5, sql: include_str!("migrations/0005_leases_in_one_step.surql") },
    Step { version: 6, sql: include_str!("migrations/0006_high_water.surql") },
    Step { version: 7, sql: include_str!("migrations/0007_turns_and_clocks.surql") },
    Step { version: 8, sql: include_str!("migrations/0008_severity.surql") },
    Step { version: 9, sql: include_str!("migrations/0009_plugins_with_results.surql") },
    Step { version: 10, sql: include_str!("migrations/0010_ranks_in_two_columns.surql") },
    Step { version: 11, sql: include_str!("migrations/0011_plugin_results.surql") },
    Step { version: 12, sql: include_str!("migrations/0012_outbox_and_audit.surql") },
    Step { version: 13, sql: include_str!("migrations/0013_outcomes_of_projects.surql") },
    Step { version: 14, sql: include_str!("migrations/0014_accounts.surql") },
    Step { version: 15, sql: include_str!("migrations/0015_clearances.surql") },
    Step { version: 16, sql: include_str!("migrations/0016_audit_seals.surql") },
    Step { version: 17, sql: include_str!("migrations/0017_second_factors.surql") },
    Step { version: 18, sql: include_str!("migrations/0018_token_networks.surql") },
    Step { version: 19, sql: include_str!("migrations/0019_public_links.surql") },
    Step { version: 20, sql: include_str!("migrations/0020_shares.surql") },
    Step { version: 21, sql: include_str!("migrations/0021_provider_identities.surql") },
    Step { version: 22, sql: include_str!("migrations/0022_passkeys.surql") },
    Step { version: 23, sql: include_str!("migrations/0023_device_logins.surql") },
    Step { version: 24, sql: include_str!("migrations/0024_mail.surql") },
    Step { version: 25, sql: include_str!("migrations/0025_findings.surql") },
];

/// The schema version of this program.
pub(super) const VERSION: i64 = STEPS[STEPS.len() - 1].version;

/// The text that a write to a database with a newer schema throws. The migration to schema 11
/// throws the same for programs of earlier versions.
pub(super) const MIGRATED: &str =
    "the database was migrated by a newer version of Kastrel: stop this process and upgrade it";

/// The beginning of each write transaction. The row of the next migration exists once a newer
/// program has applied it. FOR UPDATE makes the commit fail if that happens in the meantime.
static FENCE: LazyLock<String> = LazyLock::new(|| {
    let next = VERSION + 1;
    format!("BEGIN; IF (SELECT VALUE version FROM ONLY migration:{next} FOR UPDATE) != NONE {{ THROW '{MIGRATED}' }};")
});

/// Adds the check of the schema version to a transaction. Other statements stay as they are.
pub(super) fn fenced(sql: String) -> String {
    match sql.trim_start().strip_prefix("BEGIN;") {
        Some(transaction) => format!("{}{transaction}", *FENCE),
        None => sql,
    }
}

/// The expression that is true once a newer program has migrated the database.
pub(super) fn is_newer() -> String {
    format!("(SELECT VALUE version FROM ONLY migration:{}) != NONE", VERSION + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_no_gaps() {
        assert!(STEPS.iter().zip(1..).all(|(step, version)| step.version == version));
        let texts = STEPS.iter().filter(|step| step.sql.contains(MIGRATED)).count();
        assert_eq!(texts, 1, "the first fence throws the text of all");
    }

    #[test]
    fn only_transactions_are_fenced() {
        let fenced_write = fenced("\n    BEGIN;\n    UPSERT counter:scan SET value = 1; COMMIT;".into());
        assert!(fenced_write.starts_with("BEGIN; IF (SELECT VALUE version FROM ONLY migration:"), "{fenced_write}");
        assert!(fenced_write.ends_with("UPSERT counter:scan SET value = 1; COMMIT;"), "{fenced_write}");
        assert_eq!(fenced("RETURN { now: 1 };".into()), "RETURN { now: 1 };");
    }
}
