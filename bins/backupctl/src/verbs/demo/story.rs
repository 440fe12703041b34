//! What the demo does, and what it proves.

use backup::ops::document::ReceiptDocument;
use backup::verify::Depth;
use backup::{Backup, BackupReceipt, Secret};
use backup_core::{ByteSize, Error, ErrorKind, Result};

use super::cluster::{Cluster, Folder};
use crate::render;
use crate::session::Session;

const SHOP: &str = "shop";
const COPY: &str = "shop_restored";

/// What a table holds, in one number that any change would change.
const FINGERPRINT: &str =
    "select count(*) || ' rows ' || coalesce(sum(hashtextextended(o::text, 0)), 0) from orders o";

pub(super) async fn tell(
    session: &Session,
    server: &Cluster,
    folder: &Folder,
    rows: u64,
) -> Result<()> {
    let say = |line: &str| session.screen.say(line);
    say(&format!("started a throw-away server ({})", server.version));
    fill(server, rows).await?;
    say(&format!("filled a shop with {} orders", render::count(rows)));

    let repository = format!("file://{}/repository", folder.path().display());
    let backup = Backup::open_or_create(&repository, Secret::new("only for this demo"))
        .await?
        .with_tools(server.tools.clone())
        .observed_by(session.observer())
        .interrupted_by(session.interrupt.clone());
    let first = backup.backup(&server.url(SHOP)).await?;
    say(&told("first backup", &first));

    change(server, rows).await?;
    say("a day passes: 2% of the orders change, 2% are added");
    let second = backup.backup(&server.url(SHOP)).await?;
    say(&told("second backup", &second));

    let before = server.ask(SHOP, FINGERPRINT).await?;
    server.sql(SHOP, &["drop table orders cascade"]).await?;
    say("the accident: drop table orders");
    let restored = backup.restore("latest", &server.url(COPY)).await?;
    let after = server.ask(COPY, FINGERPRINT).await?;
    if after != before {
        return Err(Error::new(ErrorKind::Integrity, "compare restored table")
            .with("before", before)
            .with("after", after));
    }
    say("restored into a new database: the table is back, row for row");
    let proof = backup.verify(Depth::Read).await?;
    backup::ops::verify::demand(&proof)?;
    say(&format!("read back every stored byte: {}", ByteSize(proof.bytes_read)));

    if session.screen.json() {
        let document = ReceiptDocument::new("demo", "a lost table came back")
            .fact("server", &server.version)
            .number("read_bytes", first.record.snapshot.read_bytes)
            .number("first_stored_bytes", first.record.snapshot.stored_bytes)
            .number("second_stored_bytes", second.record.snapshot.stored_bytes)
            .number("restored_rows", restored.report.rows)
            .number("verified_bytes", proof.bytes_read);
        return session.screen.document(&document);
    }
    session.screen.data(&receipt(&first, &second, restored.seconds, restored.report.rows));
    Ok(())
}

fn told(what: &str, receipt: &BackupReceipt) -> String {
    let snapshot = &receipt.record.snapshot;
    format!(
        "{what}: read {}, stored {} in {}",
        ByteSize(snapshot.read_bytes),
        ByteSize(snapshot.stored_bytes),
        render::seconds(receipt.seconds),
    )
}

fn receipt(first: &BackupReceipt, second: &BackupReceipt, seconds: f64, rows: u64) -> String {
    let (day1, day2) = (&first.record.snapshot, &second.record.snapshot);
    format!(
        "\n\
         RECEIPT\n\
         first backup    {:>10} read, {:>10} stored, encrypted, in {}\n\
         second backup   {:>10} read, {:>10} stored ({} of the first), in {}\n\
         restore         {} rows in {}\n\
         proved          the dropped table came back with the same rows;\n\
         \x20               every stored byte was read back and checked\n\
         Nothing is left behind. For your own database: set BACKUP_REPOSITORY,\n\
         BACKUP_PASSPHRASE and DATABASE_URL, then `backupctl init` and `backupctl backup`.\n",
        ByteSize(day1.read_bytes).to_string(),
        ByteSize(day1.stored_bytes).to_string(),
        render::seconds(first.seconds),
        ByteSize(day2.read_bytes).to_string(),
        ByteSize(day2.stored_bytes).to_string(),
        render::percent(day2.stored_bytes, day1.stored_bytes),
        render::seconds(second.seconds),
        render::count(rows),
        render::seconds(seconds),
    )
}

async fn fill(server: &Cluster, rows: u64) -> Result<()> {
    server.sql("postgres", &["create database shop"]).await?;
    let orders = format!(
        "insert into orders select n, 1 + n % 5000, timestamptz '2026-01-01' + n * interval '7 s', \
         (array['new','paid','sent','returned'])[1 + n % 4], round((random() * 400)::numeric, 2), \
         md5(n::text) || ' ' || md5((n * 7)::text) from generate_series(1, {rows}) n"
    );
    server
        .sql(
            SHOP,
            &[
                "create table customers (id int primary key, name text not null, email text unique)",
                "create table orders (id bigint primary key, customer int not null references \
                 customers, placed timestamptz not null, state text not null, total numeric(9,2), \
                 note text)",
                "insert into customers select n, 'Customer ' || n, 'c' || n || '@example.com' \
                 from generate_series(1, 5000) n",
                &orders,
                "create index on orders (customer, placed)",
                "create view open_orders as select * from orders where state in ('new', 'paid')",
            ],
        )
        .await
}

async fn change(server: &Cluster, rows: u64) -> Result<()> {
    let last = rows + rows / 50;
    let add = format!(
        "insert into orders select n, 1 + n % 5000, now(), 'new', 9.90, md5(n::text) \
         from generate_series({}, {last}) n",
        rows + 1
    );
    server
        .sql(SHOP, &["update orders set state = 'sent', total = total + 1 where id % 50 = 7", &add])
        .await
}
