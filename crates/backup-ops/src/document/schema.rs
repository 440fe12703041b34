//! The JSON Schema of each document; `docs/schemas` holds the same.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};

use super::{
    BackupDocument, DiffDocument, DoctorDocument, DrillDocument, DrillHistoryDocument,
    EntryChangeDocument, EntryDocument, EntryFoundDocument, ErrorDocument, FindDocument,
    ForgetDocument, KeysDocument, MigrateDocument, NativeDocument, PartsDocument, ReceiptDocument,
    RestoreDocument, RestorePlanDocument, ShowDocument, ShowSetDocument, SnapshotsDocument,
    StatusDocument, VerifyDocument, WalStatusDocument,
};

use crate::report::SignedReport;

type Entry = (&'static str, fn(&mut SchemaGenerator) -> schemars::Schema);

fn root<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.root_schema_for::<T>()
}

const ALL: &[Entry] = &[
    ("backup", root::<BackupDocument>),
    ("diff", root::<DiffDocument>),
    ("doctor", root::<DoctorDocument>),
    ("drill", root::<DrillDocument>),
    ("drill_history", root::<DrillHistoryDocument>),
    ("entry", root::<EntryDocument>),
    ("entry_change", root::<EntryChangeDocument>),
    ("entry_found", root::<EntryFoundDocument>),
    ("error", root::<ErrorDocument>),
    ("find", root::<FindDocument>),
    ("forget", root::<ForgetDocument>),
    ("keys", root::<KeysDocument>),
    ("ls", root::<PartsDocument>),
    ("migrate", root::<MigrateDocument>),
    ("native", root::<NativeDocument>),
    ("receipt", root::<ReceiptDocument>),
    ("report", root::<SignedReport>),
    ("restore", root::<RestoreDocument>),
    ("restore_plan", root::<RestorePlanDocument>),
    ("set", root::<ShowSetDocument>),
    ("show", root::<ShowDocument>),
    ("snapshots", root::<SnapshotsDocument>),
    ("status", root::<StatusDocument>),
    ("verify", root::<VerifyDocument>),
    ("wal_status", root::<WalStatusDocument>),
];

/// Returns the documents' names, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// Returns the JSON Schema (2020-12) of the document of that name, as text; nothing when there
/// is none.
#[must_use]
pub fn of(name: &str) -> Option<String> {
    let (_, generate) = ALL.iter().find(|(known, _)| *known == name)?;
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut text = serde_json::to_string_pretty(&generate(&mut generator)).ok()?;
    text.push('\n');
    Some(text)
}
