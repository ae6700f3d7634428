//! The file log, proved: the contract, its bytes, damage, crashes, a full disk and a failing one.

mod conformance;
mod corruption;
mod crash;
mod crash_disk;
mod failures;
mod folder;
mod golden;
mod needed_syncs;
mod rotation;
