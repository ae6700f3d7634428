//! The body of an answer, read piece by piece within its bounds.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Bytes, Incoming};
use tokio::time::Instant;

use super::client::{broken, within};
use super::kept::Lent;
use super::{Bounds, Failure};

/// A piece that is written to a file has at least so many bytes, but for the last one.
const SPOOL_BYTES: usize = 1024 * 1024;

/// A body that is still to be read.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    /// Where it comes from; given back behind its end.
    lent: Option<Lent>,
    silence: Duration,
    ends: Instant,
    bytes_max: u64,
    bytes: u64,
}

/// A body that was written to a file.
#[derive(Debug)]
pub struct Spooled {
    /// The file; what was written stands before its place.
    pub file: File,
    /// How many bytes the body has.
    pub bytes: u64,
}

impl Body {
    pub(super) fn new(incoming: Incoming, lent: Lent, bounds: Bounds, ends: Instant) -> Self {
        let Bounds { silence, body_bytes_max: bytes_max, .. } = bounds;
        Body { incoming, lent: Some(lent), silence, ends, bytes_max, bytes: 0 }
    }

    /// The next piece; none behind the last one.
    ///
    /// # Errors
    /// Where the body is too large, too slow, or ends before it is whole.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let too_large = Failure::TooLarge("the body of the answer", self.bytes_max);
        if self.bytes.saturating_add(self.incoming.size_hint().lower()) > self.bytes_max {
            return Err(too_large);
        }
        loop {
            let by = self.ends.min(Instant::now() + self.silence);
            let frame = within(by, "waiting for more of the answer", async {
                self.incoming.frame().await.transpose().map_err(|error| broken(&error))
            });
            let Some(frame) = frame.await? else {
                if let Some(lent) = self.lent.take() {
                    lent.give_back();
                }
                return Ok(None);
            };
            // Trailers are of no use here.
            let Ok(piece) = frame.into_data() else { continue };
            self.bytes += piece.len() as u64;
            return if self.bytes > self.bytes_max { Err(too_large) } else { Ok(Some(piece)) };
        }
    }

    /// The first bytes, at most `bytes_max`, or what came of them before something went wrong.
    pub async fn beginning(mut self, bytes_max: usize) -> Vec<u8> {
        let mut beginning = Vec::new();
        while beginning.len() < bytes_max
            && let Ok(Some(piece)) = self.piece().await
        {
            beginning.extend_from_slice(&piece[..piece.len().min(bytes_max - beginning.len())]);
        }
        beginning
    }

    /// The whole body in memory: for small ones, by their [`Bounds::body_bytes_max`].
    ///
    /// # Errors
    /// As [`Body::piece`].
    pub async fn whole(mut self) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// The whole body into a file, beginning at its place; about [`SPOOL_BYTES`] are in memory at once. The file is
    /// not synced.
    ///
    /// # Errors
    /// As [`Body::piece`], or where the file cannot be written. What was written of it stays.
    pub async fn spool(mut self, mut file: File) -> Result<Spooled, Failure> {
        let mut gathered = Vec::with_capacity(SPOOL_BYTES);
        loop {
            let piece = self.piece().await?;
            if let Some(piece) = &piece {
                gathered.extend_from_slice(piece);
            }
            if piece.is_none() || gathered.len() >= SPOOL_BYTES {
                (file, gathered) = written(file, gathered).await?;
            }
            if piece.is_none() {
                return Ok(Spooled { file, bytes: self.bytes });
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // A 304 has no body that anybody would read.
        if self.incoming.is_end_stream()
            && let Some(lent) = self.lent.take()
        {
            lent.give_back();
        }
    }
}

/// Writes on a thread that may wait for a disk.
async fn written(mut file: File, mut bytes: Vec<u8>) -> Result<(File, Vec<u8>), Failure> {
    let write = move || {
        file.write_all(&bytes)?;
        bytes.clear();
        std::io::Result::Ok((file, bytes))
    };
    let unwritten = |error: std::io::Error| Failure::Unwritten(error.to_string());
    tokio::task::spawn_blocking(write).await.map_err(|error| unwritten(error.into()))?.map_err(unwritten)
}
