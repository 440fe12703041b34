//! Comparing databases by what pg_dump says of them.

use backup_testkit::postgres::Cluster;

/// What pg_dump says of a database. Rows are sorted within each table unless `exact`.
pub(crate) fn dump(program: &Cluster, server: &Cluster, database: &str, exact: bool) -> String {
    dump_with(&["--create"], program, server, database, exact)
}

/// The same without the database's own properties.
pub(crate) fn dump_contents(
    program: &Cluster,
    server: &Cluster,
    database: &str,
    exact: bool,
) -> String {
    dump_with(&[], program, server, database, exact)
}

fn dump_with(
    arguments: &[&str],
    program: &Cluster,
    server: &Cluster,
    database: &str,
    exact: bool,
) -> String {
    let mut command = server.command("pg_dump");
    if program.major() != server.major() {
        command = program.command("pg_dump");
        command.env("PGHOST", server.socket_folder()).env("PGPORT", server.port().to_string());
    }
    let output = command
        .args(arguments)
        .args(["-d", database])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Latin-1 keeps every byte of any encoding.
    let text: String = output.stdout.iter().map(|byte| char::from(*byte)).collect();
    normalize(&text, database, exact)
}

/// Rows of partitions by the hash of an enum: the oids of its labels decide in which one they
/// are, and those are new in every database.
const MOVING_ROWS: &str = "COPY app.by_mood (";

/// Takes out what differs by design: the database's own name, the random token of `\restrict`,
/// and the order of rows.
fn normalize(text: &str, database: &str, exact: bool) -> String {
    let mut out = Vec::new();
    let mut rows: Option<Vec<&str>> = None;
    let mut moved = Vec::new();
    let mut moves = false;
    for line in text.lines() {
        if let Some(mut block) = rows.take() {
            if line == "\\." {
                if moves {
                    moved.append(&mut block);
                } else if !exact {
                    block.sort_unstable();
                }
                out.extend(block.into_iter().map(str::to_owned));
                out.push(line.to_owned());
            } else {
                block.push(line);
                rows = Some(block);
            }
            continue;
        }
        if line.starts_with("\\restrict") || line.starts_with("\\unrestrict") {
            continue;
        }
        if line.starts_with("COPY ") && line.ends_with("FROM stdin;") {
            rows = Some(Vec::new());
            moves = line.starts_with(MOVING_ROWS);
        }
        out.push(line.replace(database, "DATABASE"));
    }
    assert!(rows.is_none(), "a dump ends inside rows");
    moved.sort_unstable();
    out.extend(moved.into_iter().map(str::to_owned));
    out.join("\n")
}

/// Panics with the first lines that differ.
#[track_caller]
pub(crate) fn assert_same(before: &str, after: &str) {
    if before == after {
        return;
    }
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let at = before
        .iter()
        .zip(&after)
        .position(|(a, b)| a != b)
        .unwrap_or(before.len().min(after.len()));
    let around = |lines: &[&str]| -> String {
        let from = at.saturating_sub(8);
        lines
            .iter()
            .skip(from)
            .take(16)
            .map(|line| {
                let short: String = line.chars().take(200).collect();
                short + "\n"
            })
            .collect()
    };
    panic!(
        "dumps differ at line {at} ({} and {} lines)\n--- source\n{}--- restored\n{}",
        before.len(),
        after.len(),
        around(&before),
        around(&after)
    );
}
