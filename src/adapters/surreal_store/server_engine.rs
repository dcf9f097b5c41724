//! Detects the storage engine of a database server. The server has no call for it, but it passes on
//! its engine's error text for a write conflict.
//!
//! Two transactions write the same new row, and the second commit fails with that text. Afterwards
//! the row is deleted.

use surrealdb::types::{Object, SurrealValue, Value};
use surrealdb_rpc::DbResult;

use super::error::CallError;
use super::ws_connection::WsConnection;

/// A storage engine of a database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerEngine {
    /// `rocksdb://`.
    RocksDb,
    /// `surrealkv://`, which loses committed rows at a restart.
    SurrealKv,
    /// `memory`, which keeps nothing after a restart.
    Memory,
    /// An unknown or undetectable engine.
    Unknown,
}

impl ServerEngine {
    /// The engine that uses this text for a write conflict. The texts are from SurrealDB 3.3:
    /// `surrealdb-kvs-*` pass on the errors of `rocksdb`, `surrealkv` and `surrealmx`.
    fn of_conflict(message: &str) -> Self {
        [
            ("Resource busy", Self::RocksDb),
            ("Transaction write conflict", Self::SurrealKv),
            ("Write conflict, retry the transaction", Self::Memory),
        ]
        .into_iter()
        .find_map(|(words, engine)| message.contains(words).then_some(engine))
        .unwrap_or(Self::Unknown)
    }
}

/// Provokes a conflict in the selected database, whose schema must be up to date.
///
/// # Errors
/// The connection broke. For a server that refuses transactions over several requests, the result
/// is [`ServerEngine::Unknown`].
pub(super) async fn detect(connection: &WsConnection) -> Result<ServerEngine, CallError> {
    let row = uuid::Uuid::new_v4().to_string();
    let found = conflict(connection, &row).await?;
    // If the deletion fails, the row is removed after a day, like all old rows of this table.
    let _ = connection
        .ask(
            "query",
            vec!["DELETE type::record('submitter', $row) RETURN NONE;".to_owned().into_value(), variables(&row, 0)],
        )
        .await?;
    match found {
        Ok(()) => Ok(ServerEngine::Unknown),
        Err(error) => {
            let engine = ServerEngine::of_conflict(error.message());
            if engine == ServerEngine::Unknown {
                tracing::debug!(
                    answer = error.message(),
                    "the database server does not say which storage engine it runs on"
                );
            }
            Ok(engine)
        }
    }
}

/// The response to the second commit, or to the first request that was refused.
async fn conflict(connection: &WsConnection, row: &str) -> Result<surrealdb::Result<()>, CallError> {
    let mut open = Vec::new();
    for number in 0..2 {
        let transaction = match connection.ask("begin", Vec::new()).await? {
            Ok(DbResult::Other(Value::Uuid(transaction))) => transaction,
            Ok(_) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        open.push((number, transaction));
    }
    const WRITE: &str =
        "UPSERT type::record('submitter', $row) SET batch = $batch, at = time::nano(time::now()) RETURN NONE;";
    for (number, transaction) in &open {
        let written = connection
            .ask_within(*transaction, "query", vec![WRITE.to_owned().into_value(), variables(row, *number)])
            .await?;
        if let Err(error) = statement_error(written) {
            return Ok(Err(error));
        }
    }
    let mut last = Ok(());
    for (_, transaction) in open {
        last = connection.ask("commit", vec![Value::Uuid(transaction)]).await?.map(drop);
    }
    Ok(last)
}

/// The error of the request, or of its only statement.
fn statement_error(answer: surrealdb::Result<DbResult>) -> surrealdb::Result<()> {
    match answer? {
        DbResult::Query(results) => results.into_iter().try_for_each(|result| result.result.map(drop)),
        DbResult::Other(_) | DbResult::Live(_) => Ok(()),
    }
}

fn variables(row: &str, batch: i64) -> Value {
    let mut variables = Object::new();
    variables.insert("row".to_owned(), row.to_owned().into_value());
    variables.insert("batch".to_owned(), batch.into_value());
    Value::Object(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflict_texts_identify_the_engine() {
        for (message, engine) in [
            ("Transaction conflict: Resource busy: . This transaction can be retried", ServerEngine::RocksDb),
            (
                "Transaction conflict: Transaction write conflict. This transaction can be retried",
                ServerEngine::SurrealKv,
            ),
            (
                "Transaction conflict: Write conflict, retry the transaction. This transaction can be retried",
                ServerEngine::Memory,
            ),
            ("Transaction conflict: MvccConflict. This transaction can be retried", ServerEngine::Unknown),
            ("Method not allowed", ServerEngine::Unknown),
        ] {
            assert_eq!(ServerEngine::of_conflict(message), engine, "{message}");
        }
    }
}
