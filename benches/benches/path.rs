//! The streaming path, stage by stage and whole, in bytes of plaintext a second.
//!
//! Corpora: `rows` (text like COPY writes it), `pages` (binary with repetition) and `noise`.
//! `cargo bench -p backup-benches`; one stage: `cargo bench -p backup-benches -- delta`.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use std::sync::Arc;

use backup_core::port::{NoObserver, PartSink};
use backup_core::{Evidence, Layout, PartName, RepositoryId, SnapshotKind, SourceIdentity};
use backup_crypto::{KeyBundle, KeySecret, ObjectKind, ObjectOpener, ObjectSealer};
use backup_repository::{
    Compressor, Encoding, NewKey, Repository, Settings, SnapshotDraft, decode,
};
use backup_testkit::{FakeClock, MemoryStore};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [usize; 2] = [1 << 20, 16 << 20];

/// Text of the kind that COPY writes: numbers, words, times, repeated values.
fn rows(length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "order",
        "shipped",
        "pending",
        "Amsterdam",
        "Lagos",
        "refund",
        "priority",
        "customer",
        "invoice",
        "standard",
        "express",
        "gift",
        "return",
        "warehouse",
        "Lima",
        "Osaka",
    ];
    let mut out = Vec::with_capacity(length + 200);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut row = 0u64;
    while out.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = |shift: u32| WORDS[(state >> shift) as usize & 15];
        let line = format!(
            "{row}\t{:08x}-{:04x}\t{} {} {}\t{}.{:02}\t2026-{:02}-{:02} {:02}:{:02}:{:02}+00\t{{\"s\": \"{}\", \"n\": {}}}\n",
            state >> 32,
            state >> 16 & 0xffff,
            word(5),
            word(11),
            word(17),
            (state >> 20) % 5000,
            (state >> 9) % 100,
            1 + (state >> 13) % 12,
            1 + (state >> 23) % 28,
            (state >> 31) % 24,
            (state >> 37) % 60,
            (state >> 43) % 60,
            word(49),
            (state >> 53) % 1000,
        );
        out.extend_from_slice(line.as_bytes());
        row += 1;
    }
    out.truncate(length);
    out
}

/// Eight-kilobyte blocks: a header, free space, tuples from the back.
fn pages(length: usize) -> Vec<u8> {
    let text = rows(length);
    let mut out = vec![0; length];
    for (number, (page, tuples)) in out.chunks_mut(8192).zip(text.chunks(8192)).enumerate() {
        let used = tuples.len() * 3 / 4;
        let (head, body) = page.split_at_mut(page.len() - used);
        for (slot, byte) in head.iter_mut().take(200).enumerate() {
            *byte = (number * 31 + slot * 7) as u8;
        }
        body.copy_from_slice(&tuples[..used]);
    }
    out
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

type Corpus = (&'static str, fn(usize) -> Vec<u8>);
const CORPORA: [Corpus; 3] = [("rows", rows), ("pages", pages), ("noise", noise)];

/// Two bytes in a hundred rows changed, and one row inserted at the front.
fn changed(base: &[u8]) -> Vec<u8> {
    let mut out = base.to_vec();
    for place in (0..out.len()).step_by(6000) {
        out[place] ^= 1;
    }
    out.splice(0..0, *b"one more row\n");
    out
}

fn keys() -> KeyBundle {
    KeyBundle::generate(RepositoryId([7; 16])).unwrap()
}

fn hash(c: &mut Criterion) {
    let ids = keys().chunk_ids();
    let mut group = c.benchmark_group("hash");
    for size in SIZES {
        let plain = rows(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| b.iter(|| ids.id(&plain)));
    }
}

fn compress(c: &mut Criterion) {
    let compressor = Compressor::new(Settings::default().level);
    for (corpus, make) in CORPORA {
        let mut group = c.benchmark_group(format!("compress/{corpus}"));
        for size in SIZES {
            let plain = make(size);
            let stored = compressor.whole(&plain).unwrap();
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("whole", size), |b| {
                b.iter(|| compressor.whole(&plain).unwrap());
            });
            group.bench_function(BenchmarkId::new("back", size), |b| {
                b.iter(|| decode(stored.encoding, &stored.bytes, None, size).unwrap());
            });
        }
    }
}

fn delta(c: &mut Criterion) {
    let compressor = Compressor::new(Settings::default().level);
    for (corpus, make) in [CORPORA[0], CORPORA[1]] {
        let mut group = c.benchmark_group(format!("delta/{corpus}"));
        for size in SIZES {
            let base = make(size - 100);
            let plain = changed(&base);
            let stored = compressor.delta(&plain, &base).unwrap();
            group.throughput(Throughput::Bytes(plain.len() as u64));
            group.bench_function(BenchmarkId::new("encode", size), |b| {
                b.iter(|| compressor.delta(&plain, &base).unwrap());
            });
            group.bench_function(BenchmarkId::new("apply", size), |b| {
                b.iter(|| {
                    decode(Encoding::Delta, &stored.bytes, Some(&base), plain.len()).unwrap()
                });
            });
        }
    }
}

fn seal(c: &mut Criterion) {
    let keys = keys();
    let mut group = c.benchmark_group("seal");
    for size in SIZES {
        let plain = noise(size);
        let mut out = Vec::with_capacity(size + 4096);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("seal", size), |b| {
            let mut sealer = ObjectSealer::new(&keys, ObjectKind::Pack, [1; 16], &[]).unwrap();
            b.iter(|| {
                out.clear();
                sealer.seal(false, &[], &plain, &mut out).unwrap();
            });
        });
        let mut sealer = ObjectSealer::new(&keys, ObjectKind::Pack, [1; 16], &[]).unwrap();
        out.clear();
        sealer.seal(false, &[], &plain, &mut out).unwrap();
        let opener = ObjectOpener::new(&keys, ObjectKind::Pack, [1; 16], sealer.header()).unwrap();
        group.bench_function(BenchmarkId::new("open", size), |b| {
            b.iter(|| opener.open(0, false, &[], &out).unwrap());
        });
    }
}

/// Memory to sink: everything a backup does with bytes once it has them.
fn pipeline(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (corpus, make) in CORPORA {
        let mut group = c.benchmark_group(format!("pipeline/{corpus}"));
        group.sample_size(10);
        let size = 64 << 20;
        let plain = Arc::new(make(size));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function("first", |b| {
            b.to_async(&runtime)
                .iter_with_setup(repository, |repository| back_up(repository, Arc::clone(&plain)));
        });
        let next = Arc::new(changed(&plain));
        group.bench_function("next-day", |b| {
            b.to_async(&runtime).iter_with_setup(
                || {
                    let plain = Arc::clone(&plain);
                    std::thread::spawn(move || {
                        let runtime = tokio::runtime::Runtime::new().unwrap();
                        let repository = repository();
                        runtime.block_on(back_up(repository.clone(), plain));
                        repository
                    })
                    .join()
                    .unwrap()
                },
                |repository| back_up(repository, Arc::clone(&next)),
            );
        });
    }
}

fn repository() -> Repository {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let secret = KeySecret::KeyFile(backup_crypto::generate_key_file().unwrap());
        let key = NewKey { secret, label: "bench".into() };
        let clock = Arc::new(FakeClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        let store = Arc::new(MemoryStore::new().near());
        runtime.block_on(Repository::init(store, clock, vec![key], Settings::default())).unwrap()
    })
    .join()
    .unwrap()
}

async fn back_up(repository: Repository, plain: Arc<Vec<u8>>) {
    let draft = SnapshotDraft {
        source: "bench".parse().unwrap(),
        identity: SourceIdentity { engine: "x".into(), system: "x".into(), database: "x".into() },
        kind: SnapshotKind::Logical,
        started_at: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    let writer = repository.begin(draft, Arc::new(NoObserver)).await.unwrap();
    let part = PartName::new("table/bench");
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    for (address, bytes) in plain.chunks(12 << 20).enumerate() {
        let mut segment = writer.segment(&part, address as u64).await.unwrap();
        for piece in bytes.chunks(256 << 10) {
            segment.write(piece).await.unwrap();
        }
        segment.finish().await.unwrap();
    }
    writer.finish_part(&part, Default::default()).await.unwrap();
    writer.commit(Evidence::default()).await.unwrap();
}

criterion_group!(path, hash, compress, delta, seal, pipeline);
criterion_main!(path);
