//! A database that comes back is the one that was backed up.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{NoObserver, PartSource};
use backup_mysql::logical::{Examination, examine};
use backup_testkit::mariadb::MariaDb;

use crate::support::{back_up, connect, restore, shop};

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
    // A tool that shares no code with ours says the same of both.
    let is = server.dump("copy").replace("nextval(`copy`.", "nextval(`shop`.");
    let was = server.dump("shop");
    for (one, other) in was.lines().zip(is.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(was.len(), is.len());

    let how = Examination {
        jobs: NonZeroUsize::new(2).unwrap(),
        owners: true,
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
