//! The certificate that the server shows, its key, and the handshake.

use std::{io, path::Path, path::PathBuf, sync::Arc, time::Duration};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
    server::TlsStream,
};

use tokio_util::either::Either;

use crate::config;

/// How long a client may take to say what it speaks and to end its handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The first byte of a connection with TLS: the type of a handshake record. No method of HTTP begins with it.
const TLS_FIRST_BYTE: u8 = 0x16;
/// What the server speaks inside of TLS.
const ALPN: &[u8] = b"http/1.1";

/// Why HTTPS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or holds nothing of the kind.
    #[error("`{key}`: cannot read {}: {source}", path.display())]
    File {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The certificate and the key do not go together, or cannot be used.
    #[error("`tls.certs` and `tls.key` cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
}

/// How connections become safe.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    /// Whether whoever speaks plain HTTP is answered as well.
    also_plain: bool,
}

/// A connection, as requests are read from it.
pub(super) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

impl Tls {
    /// The connection once its handshake is done, or at once if it is plain and may be.
    ///
    /// # Errors
    ///
    /// If the client does not speak TLS, or is too slow.
    pub(super) async fn handshake(self, stream: TcpStream) -> io::Result<Connection> {
        let begun = async {
            if self.also_plain && first_byte(&stream).await? != TLS_FIRST_BYTE {
                return Ok(Either::Left(stream));
            }
            let secured = self.acceptor.accept(stream).await?;
            Ok(Either::Right(Box::new(secured)))
        };
        tokio::time::timeout(HANDSHAKE_MAX, begun).await?
    }
}

/// What the client says first, which stays to be read.
async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    match stream.peek(&mut byte).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(byte[0]),
    }
}

/// Reads what the configuration names; nothing if it names no certificate.
pub(super) fn acceptor(tls: &config::Tls) -> Result<Option<Tls>, CertificateError> {
    let (Some(certs), Some(key)) = (&tls.certs, &tls.key) else {
        return Ok(None);
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certs)
        .and_then(Iterator::collect)
        .map_err(|source| unreadable("tls.certs", certs, source))?;
    if chain.is_empty() {
        return Err(unreadable("tls.certs", certs, pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|s| unreadable("tls.key", key, s))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Some(Tls {
        acceptor: TlsAcceptor::from(Arc::new(server)),
        also_plain: tls.dual_protocol,
    }))
}

fn unreadable(key: &'static str, path: &Path, source: pem::Error) -> CertificateError {
    CertificateError::File {
        key,
        path: path.to_owned(),
        source,
    }
}
