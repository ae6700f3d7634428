//! The bounds of requests, and of a stop.

use std::time::Duration;

use maitred_web::limits::{BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX, REQUEST_TIMEOUT};

use super::settings;
use crate::serve::{Bounds, CONNECTIONS_MAX, DRAIN_TIMEOUT};
use crate::upload::IMPORT_BODY_BYTES_MAX;

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
        /// Largest head of a request, in bytes, at least 8192; over it 431 [default: 16384]
        header_bytes: u64 = HEADER_BYTES_MAX as u64, "header-bytes" "MAITRED_HEADER_BYTES" [value_name = "BYTES"];
        /// Most connections at once; further ones wait to be accepted [default: 16384]
        connections: u64 = CONNECTIONS_MAX as u64, "connections" "MAITRED_CONNECTIONS" [value_name = "COUNT"];
        /// Time between being not ready and refusing new requests, for a load balancer to notice [default: 0]
        stop_delay_seconds: u64 = 0, "stop-delay-seconds" "MAITRED_STOP_DELAY_SECONDS" [value_name = "SECONDS"];
        /// Time that open requests have to finish at a stop; then they are cut off [default: 15]
        drain_seconds: u64 = DRAIN_TIMEOUT.as_secs(), "drain-seconds" "MAITRED_DRAIN_SECONDS" [value_name = "SECONDS"];
    }
}

impl Limits {
    /// The bounds of the socket among them.
    pub fn of_socket(&self) -> Bounds {
        Bounds {
            connections_max: usize::try_from(self.connections).unwrap_or(usize::MAX),
            header_bytes_max: usize::try_from(self.header_bytes).unwrap_or(usize::MAX),
            drain_timeout: Duration::from_secs(self.drain_seconds),
            ..Bounds::default()
        }
    }
}
