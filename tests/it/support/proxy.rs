//! A proxy that speaks TLS in front of a server that does not, as self-hosters run one: what it carries is not looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The name in its certificate.
const NAME: &str = "localhost";

pub struct Proxy {
    port: u16,
    /// The certificate of the authority that a client has to trust.
    pub authority: PathBuf,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Carries to what listens on `to`; writes what a client needs into `dir`.
    pub async fn start(to: u16, dir: &Path) -> Self {
        let authority = dir.join("authority.pem");
        let acceptor = TlsAcceptor::from(Arc::new(configuration(&authority)));
        let listener = TcpListener::bind((NAME, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let near = acceptor.accept(near).await;
                    let far = TcpStream::connect(("127.0.0.1", to)).await;
                    if let (Ok(mut near), Ok(mut far)) = (near, far) {
                        drop(copy_bidirectional(&mut near, &mut far).await);
                    }
                });
            }
        });
        Self {
            port,
            authority,
            task,
        }
    }

    /// Where it is, for who speaks this protocol.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{NAME}:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A certificate of its own, signed by an authority of its own.
fn configuration(authority_file: &Path) -> ServerConfig {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    std::fs::write(authority_file, authority.pem()).expect("the folder can be written to");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![NAME.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key of a known kind");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS as everybody speaks it")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate and its key")
}
