//! Whom an https request trusts: the bundled roots of the web, and what the operator adds.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use super::Failure;
use super::target::Target;

/// The most certificates that an operator can add.
const ROOTS_MAX: usize = 256;

/// How to speak TLS.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// `roots` are certificates in PEM, trusted beside the bundled ones.
    pub(super) fn new(roots: &[u8]) -> Result<Self, String> {
        let mut trusted = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in CertificateDer::pem_slice_iter(roots).take(ROOTS_MAX) {
            let certificate = certificate.map_err(|error| format!("the certificates are no PEM: {error}"))?;
            trusted.add(certificate).map_err(|error| format!("a certificate cannot be trusted: {error}"))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn connect(
        &self,
        target: &Target,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let untrusted = |error: io::Error| Failure::Untrusted(error.to_string());
        let name =
            ServerName::try_from(target.host()).map_err(|error| Failure::Untrusted(error.to_string()))?;
        self.0.connect(name, stream).await.map_err(untrusted)
    }
}
