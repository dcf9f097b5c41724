//! Which storage engine a database server runs on. The server has no call that says so, but it
//! passes on the words in which its engine reports a write conflict.
//!
//! Two transactions write the same new row; the second commit fails with those words. The row is
//! removed again.

use surrealdb::types::{Object, SurrealValue, Uuid, Value};
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
    /// `memory`, which keeps nothing.
    Memory,
    /// Another one, or one that does not say so.
    Unknown,
}

impl ServerEngine {
    /// The engine whose words for a write conflict these are. They are those of SurrealDB 3.3:
    /// `surrealdb-kvs-*` pass on the text of `rocksdb`, `surrealkv` and `surrealmx`.
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

/// Provokes a conflict in the selected database, whose schema is up to date.
///
/// # Errors
/// The connection broke. A server that refuses transactions over several requests is
/// [`ServerEngine::Unknown`].
pub(super) async fn detect(connection: &WsConnection) -> Result<ServerEngine, CallError> {
    let row = uuid::Uuid::new_v4().to_string();
    let found = conflict(connection, &row).await?;
    // Rows of this table that stay behind are removed after a day.
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

/// The answer to the commit that comes second, or to the first request that was refused.
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

/// An error of the request, or of its only statement.
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

/// The identity of a transaction that is open on a server.
pub(super) type Transaction = Uuid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_known_by_its_words_for_a_conflict() {
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
