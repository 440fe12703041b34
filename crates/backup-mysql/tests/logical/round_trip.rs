//! A database that comes back is the one that was backed up.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{NoObserver, PartSource};
use backup_mysql::logical::{Examination, examine};
use backup_testkit::mariadb::MariaDb;

use crate::support::{back_up, connect, restore, same_dump, shop};

#[tokio::test]
async fn every_type_and_object_comes_back_as_it_was() {
    let Some(server) = MariaDb::start(&["--log-bin=binlog", "--local-infile=1"]) else { return };
    shop(&server);
    let taken = back_up(&connect(&server, "shop")).await.unwrap();
    let evidence = &taken.snapshot.evidence;
    assert!(evidence.facts["gtid"].contains('-'), "{:?}", evidence.facts);
    assert_eq!(evidence.facts["freeze"], "backup stage");
    assert!(evidence.rows() > 3000);

    let report = restore(&taken, &connect(&server, "copy")).await.unwrap();
    assert_eq!(report.rows, evidence.rows());
    same_dump(&server, "shop", "copy");

    let how = Examination {
        jobs: NonZeroUsize::new(2).unwrap(),
        owners: true,
        role_map: Vec::new(),
        observer: Arc::new(NoObserver),
    };
    let parts: Arc<dyn PartSource> = taken.parts.clone();
    let copy = connect(&server, "copy");
    let found = examine(&copy, &taken.snapshot, &*parts, &how).await.unwrap();
    assert_eq!(found.schema_differences, Vec::<String>::new());
    assert_eq!(found.evidence.row_sets(), evidence.row_sets());
    assert_eq!(found.evidence.sequences, evidence.sequences);
    assert_eq!(found.evidence.objects, evidence.objects);
    assert_eq!(found.evidence.schema, evidence.schema);
}
