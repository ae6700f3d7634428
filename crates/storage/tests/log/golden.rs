//! The released bytes: today's encoder writes them, and today's reader reads them.
//!
//! The files under `tests/golden/` are never changed once released: a new format adds a new file.
//! `MAITRED_WRITE_GOLDEN=1` writes those of the present format anew.

use std::path::{Path, PathBuf};

use maitred_core::{Actor, TenantNumber, Timestamp};
use maitred_engine::batch::{BatchBuilder, GENESIS, Header, Idempotency, RawFact, Sealed};
use maitred_engine::conformance::log::{batch_after, read_all, tail_after};
use maitred_engine::log::{Appended, Log};
use maitred_storage::log_file::FileLog;
use maitred_storage::log_file::verify::verify_segment;

use crate::folder::{Folder, small};

const SEGMENT: &str = "00000000000000000001.segment";
const SEGMENT_BYTES: u64 = 16 * 512;

/// A batch in which every field has a value of its own, and every kind of actor occurs.
fn batch() -> Sealed {
    let mut builder = BatchBuilder::new(Header {
        rules_version: 0x0102,
        log: 0,
        epoch: 0x0304_0506_0708_090a,
        seq: 1,
        batch_id: 0x0b0c_0d0e_0f10_1112_1314_1516_1718_191a,
        writer: 0x1b1c_1d1e_1f20_2122_2324_2526_2728_292a,
        timestamp: Timestamp::from_micros(1_795_253_400_123_456),
        prev_hash: GENESIS,
    });
    let idempotency = Idempotency { key: 0x2b2c, fingerprint: 0x2d2e << 96 };
    builder.push(TenantNumber(0x2f30), Actor::ApiKey(0x3132), Some((idempotency, b"created")), |facts| {
        facts.push(0x3334, 1, |body| body.extend_from_slice(b"the first fact"));
        facts.push(0x3536, 2, |_| {});
    });
    builder.push(TenantNumber(0), Actor::System, None, |_| {});
    builder.push(TenantNumber(1), Actor::Anonymous, None, |facts| facts.push(1, 1, |body| body.push(0)));
    builder.push(TenantNumber(u32::MAX), Actor::User(u128::MAX), None, |_| {});
    builder.seal()
}

/// One batch of one sector, one that fills two exactly, and one of five with zeros in them.
fn batches() -> Vec<Sealed> {
    let first = batch();
    let empty = batch_after(tail_after(&first), 2, 0).bytes.len();
    let second = batch_after(tail_after(&first), 2, 2 * 511 - 20 - empty);
    let third = batch_after(tail_after(&second), 0, 2_000);
    vec![first, second, third]
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn check(name: &str, written: &[u8]) {
    if std::env::var_os("MAITRED_WRITE_GOLDEN").is_some() {
        std::fs::write(golden(name), written).unwrap();
    }
    let released = std::fs::read(golden(name)).unwrap();
    let differs = released.iter().zip(written).position(|(released, written)| released != written);
    assert_eq!(differs, None, "the first byte of {name} that differs");
    assert_eq!(released.len(), written.len(), "the length of {name}");
}

#[test]
fn the_batch_format_is_the_released_one() {
    check("batch-1.bin", &batch().bytes);
}

#[test]
fn the_segment_format_is_the_released_one() {
    let folder = Folder::new();
    let mut log = FileLog::open(folder.disk(), small(SEGMENT_BYTES)).unwrap().log;
    for batch in batches() {
        assert_eq!(log.append_if(log.tail(), &batch), Ok(Appended::Committed));
    }
    check("segment-1.bin", &std::fs::read(folder.path().join(SEGMENT)).unwrap());
}

#[test]
fn a_released_batch_is_read() {
    let read = Sealed::verify(std::fs::read(golden("batch-1.bin")).unwrap()).unwrap();
    assert_eq!(read, batch());
    let items: Vec<_> = read.items().map(Result::unwrap).collect();
    let tenants: Vec<_> = items.iter().map(|item| item.tenant.0).collect();
    assert_eq!(tenants, [0x2f30, 0, 1, u32::MAX]);
    assert_eq!(items[0].actor, Actor::ApiKey(0x3132));
    assert_eq!(items[3].actor, Actor::User(u128::MAX));
    let idempotency = Idempotency { key: 0x2b2c, fingerprint: 0x2d2e << 96 };
    assert_eq!(items[0].idempotency, Some((idempotency, b"created".as_slice())));
    assert_eq!(items[0].facts[0], RawFact { kind: 0x3334, version: 1, body: b"the first fact" });
    assert_eq!(items[0].facts[1], RawFact { kind: 0x3536, version: 2, body: b"" });
    assert_eq!(items[2].facts, [RawFact { kind: 1, version: 1, body: &[0] }]);
}

#[test]
fn a_released_segment_is_read_verified_and_appended_to() {
    let folder = Folder::new();
    let disk = folder.disk();
    std::fs::copy(golden("segment-1.bin"), folder.path().join(SEGMENT)).unwrap();
    let verified = verify_segment(&disk, 0, 1).unwrap();
    assert_eq!((verified.batches, verified.last), (3, tail_after(&batches()[2])));
    let mut log = FileLog::open(disk, small(SEGMENT_BYTES)).unwrap().log;
    let mut expected = batches();
    assert_eq!(read_all(&*log.reader()).unwrap(), expected);
    let next = batch_after(log.tail(), 4, 10);
    assert_eq!(log.append_if(log.tail(), &next), Ok(Appended::Committed));
    expected.push(next);
    assert_eq!(read_all(&*log.reader()).unwrap(), expected);
}
