//! TLS: a real client with our root is served, everybody and everything else is not.

use crate::common::{Answer, exchange, server_with};
use access::Role;
use control_plane::{Tls, TlsError};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Certificate {
    pub(crate) tls: Tls,
    root: CertificateDer<'static>,
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A certificate of `bot.example.org` from a root of its own.
pub(crate) fn certificate(directory: &Path) -> Certificate {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_cert = root.self_signed(&root_key).unwrap();
    let issuer = rcgen::Issuer::new(root, root_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["bot.example.org".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    let (cert_path, key_path) = (directory.join("cert.pem"), directory.join("key.pem"));
    write(&cert_path, &own.pem());
    write(&key_path, &key.serialize_pem());
    Certificate { tls: Tls::load(&cert_path, &key_path).unwrap(), root: root_cert.der().clone() }
}

fn client(
    roots: &[CertificateDer<'static>],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.iter().for_each(|root| store.add(root.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    Arc::new(config.with_root_certificates(store).with_no_client_auth())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// One request over TLS, or why the client or the server would not.
fn ask(address: SocketAddr, config: &Arc<ClientConfig>, name: &str, request: &str) -> std::io::Result<Answer> {
    let server_name = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::clone(config), server_name).unwrap();
    let mut stream = connect(address);
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(exchange(StreamOwned::new(session, stream), request.as_bytes()))
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[test]
fn client_with_the_root_is_served_over_tls_twelve_and_thirteen_with_an_api_key() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(directory.path());
    let server = server_with(vec!["bot.example.org".to_owned()], Some(certificate.tls.clone()));
    let (_, bearer) = server.key("phone", Role::Viewer.scopes(), &[]);
    let host = format!("bot.example.org:{}", server.address.port());
    let request = |host: &str, origin: &str| {
        format!(
            "GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nAuthorization: {bearer}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        )
    };
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let config = client(std::slice::from_ref(&certificate.root), versions);
        let answer =
            ask(server.address, &config, "bot.example.org", &request(&host, &format!("https://{host}"))).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["mode"], "sim");
        let plain_page =
            ask(server.address, &config, "bot.example.org", &request(&host, &format!("http://{host}"))).unwrap();
        assert_eq!(plain_page.status, 403);
        let other =
            ask(server.address, &config, "bot.example.org", &request("evil.test", "https://evil.test")).unwrap();
        assert_eq!(other.status, 421);
    }
}

#[test]
fn client_without_the_root_or_for_another_name_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(directory.path());
    let server = server_with(vec!["bot.example.org".to_owned()], Some(certificate.tls.clone()));
    let request = "GET /-/healthy HTTP/1.1\r\nHost: bot.example.org\r\nConnection: close\r\n\r\n";
    let unknown = ask(server.address, &client(&[], BOTH), "bot.example.org", request).unwrap_err();
    assert!(unknown.to_string().contains("UnknownIssuer"), "{unknown}");
    let trusting = client(std::slice::from_ref(&certificate.root), BOTH);
    let other = ask(server.address, &trusting, "other.example.org", request).unwrap_err();
    assert!(
        other.to_string().contains("NotValidForName") || other.to_string().contains("not valid for name"),
        "{other}"
    );
}

/// A first message of a TLS client that knows nothing newer than `version`.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut hello = vec![version[0], version[1]];
    hello.extend([7; 32]); // random
    hello.push(0); // no session
    hello.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]); // ECDHE-ECDSA with AES-128, as GCM and as CBC
    let extensions = [
        [0x00, 0x0d, 0, 4, 0, 2, 4, 3],  // signatures: ECDSA with P-256
        [0x00, 0x0a, 0, 4, 0, 2, 0, 23], // groups: P-256
    ];
    hello.extend([0, 16]);
    hello.extend(extensions.concat());
    let mut handshake = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
    handshake.extend(hello);
    let mut record = vec![22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend(handshake);
    record
}

fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as any.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn older_tls_and_plain_text_get_an_alert_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(directory.path());
    let server = server_with(vec!["bot.example.org".to_owned()], Some(certificate.tls));
    let plain = format!("GET /-/healthy HTTP/1.1\r\nHost: bot.example.org:{}\r\n\r\n", server.address.port());
    for version in [[3, 1], [3, 2]] {
        // A fatal alert (2) that says protocol_version (70).
        assert_eq!(answer_to(server.address, &hello(version))[5..], [2, 70], "{version:?}");
    }
    // The same words in TLS 1.2 are answered: a handshake record (22) with the server's hello (2).
    let mut answer = [0; 6];
    let mut stream = connect(server.address);
    stream.write_all(&hello([3, 3])).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!((answer[0], answer[5]), (22, 2));
    for bytes in [plain.into_bytes(), vec![0; 64], b"SSH-2.0-x\r\n".to_vec()] {
        let answer = answer_to(server.address, &bytes);
        assert!(answer.len() <= 7 && answer.first().is_none_or(|kind| *kind == 21), "{answer:?}");
    }
    let mut request = UnixRequest::new(&server.socket);
    assert_eq!(request.healthy(), 200, "the socket stays plain");
}

struct UnixRequest(std::os::unix::net::UnixStream);

impl UnixRequest {
    fn new(path: &Path) -> Self {
        Self(std::os::unix::net::UnixStream::connect(path).unwrap())
    }

    fn healthy(&mut self) -> u16 {
        let text = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        exchange(&mut self.0, text.as_bytes()).status
    }
}

#[test]
fn key_open_to_others_or_of_another_certificate_is_refused_at_start() {
    let directory = tempfile::tempdir().unwrap();
    certificate(directory.path());
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Tls::load(&cert, &key), Err(TlsError::OpenToOthers { mode: 0o644, .. })));
    write(&key, &rcgen::KeyPair::generate().unwrap().serialize_pem());
    assert!(matches!(Tls::load(&cert, &key), Err(TlsError::Unusable(_))));
    write(&key, "no key");
    assert!(matches!(Tls::load(&cert, &key), Err(TlsError::Unreadable { .. })));
    write(&cert, "");
    assert!(matches!(Tls::load(&cert, &key), Err(TlsError::Unreadable { .. })));
    assert!(matches!(Tls::load(&directory.path().join("none.pem"), &key), Err(TlsError::Unreadable { .. })));
}
