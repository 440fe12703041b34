//! Poolers in between: those that change the server process between transactions are refused.

use backup_core::{Error, ErrorKind, Result};

use crate::{Client, ConnectOptions};

/// How often the trial is made before a pooler is believed to keep sessions.
const ROUNDS: usize = 3;
/// Transactions that are held at once: in whatever order a pooler hands its idle servers out, of few
/// all are taken, and the session that is tried loses its own.
const HELD: usize = 2;

/// Fails with `SourceUnavailable` where two live sessions share a server process, or one changes it:
/// then settings, locks and exported snapshots belong to nobody, and what is read is not of one
/// instant. A server that is reached without anything in between costs one statement.
pub(crate) async fn refuse_transaction_pooling(
    client: &mut Client,
    connect: &ConnectOptions,
) -> Result<()> {
    let process = backend(client).await?;
    if process == client.process_id().to_string() {
        return Ok(());
    }
    let mut kept = true;
    for _ in 0..ROUNDS {
        let mut others = Vec::new();
        for _ in 0..HELD {
            // A transaction holds on to the process that it was given; whose was it?
            let mut other = Client::connect(connect).await?;
            other.execute("BEGIN").await?;
            let held = backend(&mut other).await?;
            others.push(other);
            // Nobody waits for a process that a transaction of our own holds.
            kept = held != process && backend(client).await? == process;
            if !kept {
                break;
            }
        }
        for mut other in others {
            other.execute("ROLLBACK").await?;
            other.close().await;
        }
        if !kept {
            return Err(refusal(connect));
        }
    }
    Ok(())
}

async fn backend(client: &mut Client) -> Result<String> {
    let rows = client.query("SELECT pg_catalog.pg_backend_pid()").await?;
    Ok(rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned())
}

fn refusal(connect: &ConnectOptions) -> Error {
    Error::new(ErrorKind::SourceUnavailable, "use connection")
        .with("database", connect.location())
        .because(
            "a pooler in transaction mode is in between: it changes the server process between \
             transactions, so that neither a dump nor a restore is of one piece",
        )
        .hint(
            "Use the direct address: at Neon without -pooler in the host, at Supabase port 5432 \
             instead of 6543, at PlanetScale port 5432 instead of 6432, else the server's own.",
        )
}
