//! Where a restore goes, and where it does not.

use std::num::NonZeroUsize;

use backup_core::ErrorKind;
use backup_core::port::RestoreOptions;
use backup_ops::Interrupt;

use crate::fixture::{Server, Tables, back_up, initialized, observer, open, request, tables};

#[tokio::test]
async fn refuses_its_own_source_even_when_that_is_empty_now() {
    let repository = open(initialized().await).await.unwrap();
    let server = Server::new(tables(0));
    let receipt = back_up(&repository, &server, &request()).await.unwrap();
    *server.tables.lock().unwrap() = Tables::new();
    let options = RestoreOptions {
        jobs: NonZeroUsize::MIN,
        tables: Vec::new(),
        schemas: Vec::new(),
        no_owner: false,
        no_privileges: false,
        create_roles: false,
        role_map: Vec::new(),
        without_extensions: Vec::new(),
        ordered: false,
        recovery: <_>::default(),
        delta: false,
        tablespaces: Vec::new(),
        files: <_>::default(),
        observer: observer(),
    };
    let never = Interrupt::never();
    let snapshot = &receipt.record.snapshot;
    let refused = backup_ops::restore::plan(&server, snapshot, &options, &never).await;
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Conflict);

    let mut full = Server::new(tables(0));
    full.system = "another".into();
    let refused = backup_ops::restore::plan(&full, snapshot, &options, &never).await;
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Conflict);
}
