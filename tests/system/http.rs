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

/// Rows of one page at most.
const PAGE: usize = 100;

/// `GET` with these headers; status and body.
fn get(address: &str, target: &str, headers: &[(&str, String)]) -> (u16, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
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
    get(address, path, &[("authorization", format!("Bearer {token}"))])
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
        let (status, body) = get(address, target, &headers);
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

/// All rows of a list, page by page, newest first.
pub(crate) fn all_pages(rest: &str, account: &Account, path: &str, id: &str) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let older = rows.last().map_or_else(String::new, |row| format!("&idLessThan={}", row[id].as_str().unwrap()));
        let page = signed(rest, account, &format!("{path}?symbol={}&limit={PAGE}{older}", super::lab::SYMBOL));
        let Value::Array(page) = page else { panic!("{path} gives no list: {page}") };
        let full = page.len() == PAGE;
        rows.extend(page);
        if !full {
            return rows;
        }
    }
}

/// One request to the exchange's control endpoint for faults; status and body.
pub(crate) fn control(rest: &str, token: &str, method: &str, body: &Value) -> (u16, String) {
    let address = rest.strip_prefix("http://").unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "{method} /control/faults HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (status, if chunked { unchunked(body) } else { body.to_owned() })
}
