//! The bounds of requests, and of a stop.

use maitred_web::limits::{BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, REQUEST_TIMEOUT};

use super::settings;
use crate::transfer_http::IMPORT_BODY_BYTES_MAX;

settings! {
    /// The bounds of requests, and of a stop.
    Limits, layer LimitsLayer {
        /// Largest body of a request, in bytes; over it 413 [default: 1048576]
        body_bytes: u64 = BODY_BYTES_MAX as u64, "body-bytes" "MAITRED_BODY_BYTES" [value_name = "BYTES"];
        /// Largest body of a batch, in bytes; over it 413 [default: 8388608]
        batch_body_bytes: u64 = BATCH_BODY_BYTES_MAX as u64, "batch-body-bytes" "MAITRED_BATCH_BODY_BYTES"
            [value_name = "BYTES"];
        /// Largest body of an import, in bytes; over it 413 [default: 1073741824]
        import_body_bytes: u64 = IMPORT_BODY_BYTES_MAX, "import-body-bytes" "MAITRED_IMPORT_BODY_BYTES"
            [value_name = "BYTES"];
        /// Time until the answer to a request begins; over it 408 [default: 10]
        request_seconds: u64 = REQUEST_TIMEOUT.as_secs(), "request-seconds" "MAITRED_REQUEST_SECONDS"
            [value_name = "SECONDS"];
        /// Time between being not ready and refusing new requests, for a load balancer to notice [default: 0]
        stop_delay_seconds: u64 = 0, "stop-delay-seconds" "MAITRED_STOP_DELAY_SECONDS" [value_name = "SECONDS"];
    }
}
