//! Whom an https request trusts. The certificates are made for these tests and are valid nowhere else.

use std::sync::Arc;

use maitred_connectors::outgoing::{Bounds, Client, Failure, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::server::{Names, get};

const ROOT: &[u8] = include_bytes!("certificates/root.pem");
const CERTIFICATE: &[u8] = include_bytes!("certificates/server.pem");
const KEY: &[u8] = include_bytes!("certificates/server.key.pem");

/// A server that is `hooks.test`. Returns its port.
async fn server() -> u16 {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a pair");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

fn client(roots: &[u8]) -> Client {
    let allowed = ["hooks.test", "other.test", "127.0.0.1"].map(|text| text.parse().expect("a host"));
    let settings = Settings { allowed: allowed.into(), roots: roots.to_vec() };
    Client::with_resolver(settings, Box::new(Names::new(&[&["127.0.0.1"]]))).expect("a client")
}

#[tokio::test]
async fn a_certificate_must_be_of_a_root_that_is_trusted_and_of_the_very_name() {
    let port = server().await;
    let trusting = client(ROOT);
    let answer =
        get(&trusting, &format!("https://hooks.test.:{port}/"), Bounds::WEBHOOK).await.expect("trusted");
    assert_eq!(answer.body.whole().await.as_deref(), Ok(&b"secret"[..]));
    for (client, host) in [(&trusting, "other.test"), (&trusting, "127.0.0.1"), (&client(b""), "hooks.test")]
    {
        let failure = get(client, &format!("https://{host}:{port}/"), Bounds::WEBHOOK).await.expect_err(host);
        assert!(matches!(failure, Failure::Untrusted(_)), "{host}: {failure}");
    }
}

#[test]
fn certificates_that_are_none_are_refused_at_the_start() {
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let settings = Settings { allowed: Vec::new(), roots: broken.to_vec() };
    assert!(Client::new(settings).expect_err("no certificate").contains("certificate"));
}
