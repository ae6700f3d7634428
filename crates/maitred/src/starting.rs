//! What the socket answers while the server catches up with its log: that it lives, and takes no work yet. Whoever watches
//! it would else see a program that does not answer, and start it anew for ever.
//!
//! Invariant: no connection of it is kept, so that the next request of a client is the server's.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maitred_engine::Unavailable;
use maitred_web::{Problem, Reply};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::{ServiceExt, service_fn};

use crate::gate::LIVE_PATH;
use crate::serve::{Bounds, serve_within};

/// Who answers meanwhile.
#[derive(Debug)]
pub struct Starting {
    end: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Starting {
    /// Answers on this socket, whose other handle is given back. It is to be called within a runtime.
    ///
    /// # Errors
    /// The socket cannot be shared.
    pub fn begin(listener: TcpListener, bounds: Bounds) -> io::Result<(Starting, TcpListener)> {
        let listener = listener.into_std()?;
        let meanwhile = TcpListener::from_std(listener.try_clone()?)?;
        // Whoever has connected and not asked is cut off, and comes again.
        let bounds = Bounds { refusing: Duration::ZERO, drain_timeout: Duration::ZERO, ..bounds };
        let (end, ended) = oneshot::channel::<()>();
        let routes = Router::new()
            .route(LIVE_PATH, get(async || Reply::ok(json!({ "status": "OK" }))))
            .fallback(async || Problem::from(Unavailable::ReplicaBehind));
        let service = service_fn(move |request| {
            let answer = routes.clone().oneshot(request);
            async move { Ok::<_, Infallible>(last(answer.await.into_response())) }
        });
        let served = tokio::spawn(serve_within(bounds, meanwhile, service, async { drop(ended.await) }));
        Ok((Starting { end, served }, TcpListener::from_std(listener)?))
    }

    /// Answers nobody any more: the other handle of the socket does.
    pub async fn end(self) {
        let _ = self.end.send(()); // it may have ended by a bug
        if self.served.await.is_err() {
            tracing::error!("a bug in what answered during the start");
        }
    }
}

/// The last answer of its connection.
fn last(mut answer: Response) -> Response {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
