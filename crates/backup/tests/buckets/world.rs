//! A server with buckets, and snapshots in memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::Arc;

use backup::files::{BucketOptions, BucketPlace, BucketProvider, Selection, Tolerance};
use backup::storage::{Credentials, Keys, StoreOptions};
use backup_core::port::{
    Bucket, NoObserver, Provider, RestoreOptions, RestoreReport, SourceOptions,
};
use backup_core::{Result, Secret, Snapshot, SnapshotId, SnapshotKind, WriterId};
use backup_testkit::MemoryParts;
use backup_testkit::s3::Server;

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) tolerance: Tolerance,
    pub(crate) selection: Selection,
}

/// A committed snapshot and its parts.
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    pub(crate) parts: Arc<MemoryParts>,
}

impl Taken {
    pub(crate) fn keys(&self) -> u64 {
        self.snapshot.evidence.tree.as_ref().unwrap().files
    }

    pub(crate) fn says(&self, words: &str) -> bool {
        self.snapshot.evidence.findings.iter().any(|finding| finding.message.contains(words))
    }
}

/// What is said about an object, and what it is.
pub(crate) type Object = (Vec<(String, String)>, Vec<u8>);

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl World {
    pub(crate) fn start() -> Option<Self> {
        let server = Server::start()?;
        server.create_bucket("source").unwrap();
        server.create_bucket("target").unwrap();
        Some(Self { server, tolerance: <_>::default(), selection: <_>::default() })
    }

    /// One request, signed by nobody: the server does not look.
    pub(crate) fn ask(
        &self,
        method: &str,
        bucket: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let host = self.server.endpoint().trim_start_matches("http://").to_owned();
        let mut path = format!("/{bucket}/");
        for byte in key.bytes() {
            if byte.is_ascii_alphanumeric() || b"/.-_~".contains(&byte) {
                path.push(byte as char);
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
        let mut stream = TcpStream::connect(&host).unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        request.push_str(&format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=0\r\n",
            self.server.access_key()
        ));
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Answer {
            status,
            headers: lines.filter_map(header).collect(),
            body: answer[end + 4..].into(),
        }
    }

    pub(crate) fn put(&self, key: &str, headers: &[(&str, &str)], body: &[u8]) {
        let answer = self.ask("PUT", "source", key, headers, body);
        assert_eq!(answer.status, 200, "{key}: {}", String::from_utf8_lossy(&answer.body));
    }

    pub(crate) fn delete(&self, bucket: &str, key: &str) {
        assert_eq!(self.ask("DELETE", bucket, key, &[], b"").status, 204);
    }

    /// What an object is, and what is said about it; nothing where there is none.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        let answer = self.ask("GET", bucket, key, &[], b"");
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.status, 200, "{key}");
        let mut said: Vec<(String, String)> = answer
            .headers
            .into_iter()
            .filter(|(name, _)| {
                let known = ["content-type", "content-disposition", "cache-control"];
                name.starts_with("x-amz-meta-") || known.contains(&name.as_str())
            })
            .collect();
        said.sort();
        Some((said, answer.body))
    }

    pub(crate) fn bucket(&self, url: &str) -> Arc<dyn Bucket> {
        let options = StoreOptions {
            credentials: Some(Credentials {
                access_key_id: self.server.access_key().into(),
                secret_access_key: Secret::new(self.server.secret_key()),
                session_token: None,
            }),
            endpoint: Some(self.server.endpoint()),
            ..StoreOptions::default()
        };
        Arc::new(Keys::open(url, &options).unwrap())
    }

    pub(crate) async fn backup(&self, base: Option<&Taken>) -> Taken {
        self.try_backup(self.bucket("s3://source"), base).await.unwrap()
    }

    pub(crate) async fn try_backup(
        &self,
        bucket: Arc<dyn Bucket>,
        base: Option<&Taken>,
    ) -> Result<Taken> {
        let parts = match base {
            Some(base) => MemoryParts::on(&base.snapshot, &base.parts),
            None => MemoryParts::default(),
        };
        let provider = BucketProvider::new(BucketOptions {
            bucket,
            service: None,
            selection: self.selection.clone(),
            tolerance: self.tolerance,
        });
        let how = SourceOptions {
            kind: SnapshotKind::Files,
            jobs: NonZeroUsize::new(2).unwrap(),
            max_rate: None,
            physical: <_>::default(),
            observer: Arc::new(NoObserver),
        };
        let mut source = provider.open_source(&how).await?;
        let evidence = source.copy_to(&parts).await?;
        let identity = source.facts().identity.clone();
        let parts = Arc::new(parts.commit()?);
        Ok(taken(identity, parts, evidence))
    }

    pub(crate) async fn restore(
        &self,
        taken: &Taken,
        change: impl FnOnce(&mut RestoreOptions),
    ) -> Result<RestoreReport> {
        let place = BucketPlace::new(self.bucket("s3://target/copy"));
        self.restore_into(&place, taken, change).await
    }

    pub(crate) async fn restore_into(
        &self,
        place: &dyn Provider,
        taken: &Taken,
        change: impl FnOnce(&mut RestoreOptions),
    ) -> Result<RestoreReport> {
        let mut options = RestoreOptions {
            jobs: NonZeroUsize::new(2).unwrap(),
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
            observer: Arc::new(NoObserver),
        };
        change(&mut options);
        let mut target = place.open_target(&options).await?;
        target.plan(&taken.snapshot).await?;
        target.restore(&taken.snapshot, taken.parts.clone()).await
    }
}

pub(crate) fn taken(
    identity: backup_core::SourceIdentity,
    parts: Arc<MemoryParts>,
    evidence: backup_core::Evidence,
) -> Taken {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let snapshot = Snapshot {
        id: SnapshotId([7; 16]),
        source: "uploads".parse().unwrap(),
        identity,
        kind: SnapshotKind::Files,
        sequence: 1,
        previous: None,
        set: None,
        started_at: at,
        finished_at: at,
        writer: WriterId([0; 16]),
        program: "test".into(),
        read_bytes: 0,
        added_bytes: 0,
        stored_bytes: 0,
        parts: parts.list().to_vec(),
        evidence,
    };
    Taken { snapshot, parts }
}

/// Bytes that do not compress, of a seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
