//! How the data folder is used.

use maitred_engine::overlay::OVERLAY_BYTES_MAX;
use maitred_storage::log_file::{FREE_BYTES_MIN, SEGMENT_BYTES};
use maitred_storage::snapshots::SNAPSHOT_LOG_BYTES;
use maitred_storage::view_lmdb::MAP_BYTES_DEFAULT;

use super::settings;
use crate::scrubber::SCRUB_BYTES_PER_SECOND;

settings! {
    /// How the data folder is used.
    Storage, layer StorageLayer {
        /// Length of new files of the log, in bytes; a multiple of 4096. Old ones keep theirs [default: 67108864]
        segment_bytes: u64 = SEGMENT_BYTES, "segment-bytes" "MAITRED_SEGMENT_BYTES" [value_name = "BYTES"];
        /// Room that the log leaves on the disk, in bytes; with less, writes are refused [default: 268435456]
        free_bytes: u64 = FREE_BYTES_MIN, "free-bytes" "MAITRED_FREE_BYTES" [value_name = "BYTES"];
        /// Growth of the log between two snapshots of the view, in bytes; 0: no snapshots [default: 268435456]
        snapshot_log_bytes: u64 = SNAPSHOT_LOG_BYTES, "snapshot-log-bytes" "MAITRED_SNAPSHOT_LOG_BYTES"
            [value_name = "BYTES"];
        /// How much of the log's older files is read and verified in a second, in bytes; 0: none [default: 8388608]
        scrub_bytes_per_second: u64 = SCRUB_BYTES_PER_SECOND, "scrub-bytes-per-second" "MAITRED_SCRUB_BYTES_PER_SECOND"
            [value_name = "BYTES"];
        /// Size up to which the view's store may grow, in bytes; a multiple of 4096. Address space that is
        /// reserved, not memory or disk [default: 68719476736]
        view_bytes: u64 = MAP_BYTES_DEFAULT as u64, "view-bytes" "MAITRED_VIEW_BYTES" [value_name = "BYTES"];
        /// Memory for what is decided and not yet in the view's store, in bytes; from half of it on writes slow
        /// down, past twice as much they are refused [default: 67108864]
        overlay_bytes: u64 = OVERLAY_BYTES_MAX as u64, "overlay-bytes" "MAITRED_OVERLAY_BYTES" [value_name = "BYTES"];
    }
}
