//! `maitred serve`.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use maitred_booking::app::Access;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::assemble::Node;
use crate::{router, serve};

/// Run the server.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on.
    #[arg(long, env = "MAITRED_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The folder that holds everything.
    #[arg(long, env = "MAITRED_DATA", default_value = "./maitred-data")]
    data: PathBuf,
    /// Demand API keys.
    #[arg(long, env = "MAITRED_AUTH")]
    auth: bool,
    /// The tenant of drop-in requests that name none.
    #[arg(long, env = "MAITRED_DEFAULT_TENANT", default_value = "default")]
    default_tenant: String,
}

impl Serve {
    /// Serves until SIGINT or SIGTERM.
    ///
    /// # Errors
    /// Whatever keeps it from starting, in words.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        tracing_subscriber::fmt().with_env_filter("info").init();
        let node = Node::start(&self.data)?;
        let access = if self.auth { Access::Keys } else { Access::Open };
        let app = node.app(access, &self.default_tenant)?;
        let (router, _) = router::router(&app);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind(self.listen).await?;
            println!("listening on http://{}", listener.local_addr()?);
            let mut terminate = signal(SignalKind::terminate())?;
            let stop = async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            };
            serve::serve(listener, router, stop).await;
            Ok::<_, std::io::Error>(())
        })?;
        drop(app);
        node.stop();
        Ok(())
    }
}
