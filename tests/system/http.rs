//! The scenarios' own HTTP: requests to the exchange, signed as its documentation says, and to the control interface.
//! It shares no code with the program under test.

use base64::Engine as _;
use clock::SystemClock;
use domain::Clock as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The account holder's key.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) passphrase: String,
}

/// One request with these headers; status and body of its answer.
pub(crate) fn send(address: &str, method: &str, target: &str, headers: &[(&str, String)], body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if !body.is_empty() {
        request.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {target}: {answer}"));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (status, if chunked { unchunked(body) } else { body.to_owned() })
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, tail)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        if length == 0 {
            break;
        }
        body.push_str(&tail[..length]);
        rest = &tail[length + 2..];
    }
    body
}

/// One page of the control interface.
pub(crate) fn bearer(address: &str, token: &str, path: &str) -> (u16, String) {
    send(address, "GET", path, &[("authorization", format!("Bearer {token}"))], "")
}

/// The `data` of a signed question; waits while the exchange says that it was asked too often.
pub(crate) fn signed(rest: &str, account: &Account, target: &str) -> Value {
    let address = rest.strip_prefix("http://").unwrap();
    for _ in 0..100 {
        let time = SystemClock.unix().as_millis().to_string();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(account.secret.as_bytes()).unwrap();
        mac.update(format!("{time}GET{target}").as_bytes());
        let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        let headers = [
            ("ACCESS-KEY", account.key.clone()),
            ("ACCESS-SIGN", signature),
            ("ACCESS-TIMESTAMP", time),
            ("ACCESS-PASSPHRASE", account.passphrase.clone()),
        ];
        let (status, body) = send(address, "GET", target, &headers, "");
        if status == 429 {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        assert_eq!(status, 200, "{target}: {body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["code"], "00000", "{target}: {body}");
        return answer["data"].take();
    }
    panic!("the exchange goes on limiting {target}");
}
