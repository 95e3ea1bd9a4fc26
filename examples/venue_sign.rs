//! Signs requests that others have built, with the code that signs orders, so that anybody can compare the result with
//! another implementation.
//!
//! Reads JSON lines from standard input: `{"venue": "bitget", "method": "GET", "path": "/api/v3/...", "query": "a=1&b=2",
//! "body": "", "timestamp": "1700000000000", "key": "...", "secret": "...", "passphrase": "..."}`. `query` may also be
//! an object, whose keys are put in ascending order; `body` may also be an object, which is written without blanks.
//! With `"path": "/user/verify"` it is the log-in of the private stream, whose time stamp is in seconds. Answers each
//! line with `{"headers": {...}}`, or `{"signature": "..."}` for a log-in, or `{"error": "..."}`.
//!
//! It signs whatever it is given: no policy, no list of endpoints. Feed it invented keys only.

use base64::Engine as _;
use messages::SignRefusal;
use secrets::{SecretBytes, SigningKey};
use serde_json::{Map, Value, json};
use std::io::{BufRead as _, Write as _};
use venue_api::{Credentials, Draft, HeaderSink, Method};
use venue_bitget::Environment;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = answer(&line).unwrap_or_else(|error| json!({ "error": error }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<Value, String> {
    let given: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let needed = |name: &str| text(name).ok_or_else(|| format!("`{name}` is missing or no text"));
    match needed("venue")? {
        "bitget" => {}
        other => return Err(format!("venue `{other}` is not known; known: bitget")),
    }
    let timestamp = match given.get("timestamp") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err("`timestamp` is missing".to_owned()),
    };
    let path = needed("path")?;
    let query = query(given.get("query"))?;
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.trim_start_matches('?')) };
    let body = match given.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let method = match needed("method")?.to_ascii_uppercase().as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        other => return Err(format!("method `{other}` is not known")),
    };
    let secret = SecretBytes::from_slice(needed("secret")?.as_bytes()).map_err(|error| error.to_string())?;
    let key = SigningKey::new(secret).map_err(|error| error.to_string())?;
    let parts = venue_bitget::signed_text(timestamp.as_bytes(), method, target.as_bytes(), body.as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(key.sign(&parts));
    if path == "/user/verify" {
        return Ok(json!({ "signature": signature }));
    }
    let credentials = Credentials { key: needed("key")?, passphrase: text("passphrase").unwrap_or("") };
    let environment = if text("environment") == Some("demo") { Environment::Demo } else { Environment::Production };
    let codec = venue_bitget::codecs(environment).signing;
    let mut draft = Box::<Draft>::default();
    draft.method = method;
    draft.timestamp = timestamp.as_bytes().try_into().map_err(|_| "the timestamp is too long".to_owned())?;
    let mut headers = Headers(Map::new());
    codec
        .standing_headers(method, credentials, &mut headers)
        .and_then(|()| codec.finish(&mut draft, &signature, credentials, &mut headers))
        .map_err(|refusal| refusal.to_string())?;
    Ok(json!({ "headers": headers.0, "signature": signature }))
}

fn query(given: Option<&Value>) -> Result<String, String> {
    match given {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Object(pairs)) => {
            let mut fields: Vec<(String, String)> = pairs
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                .collect();
            fields.sort();
            Ok(fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"))
        }
        Some(_) => Err("`query` is neither text nor an object".to_owned()),
    }
}

struct Headers(Map<String, Value>);

impl HeaderSink for Headers {
    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), SignRefusal> {
        let value = std::str::from_utf8(value).map_err(|_| SignRefusal::Malformed)?;
        self.0.insert(name.to_owned(), Value::from(value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with another implementation; key `bg_0123456789abcdef`, secret `sk_test_secret_0001`.
    #[test]
    fn published_vectors_come_out() {
        for (method, path, query, body, timestamp, expected) in [
            (
                "GET",
                "/api/v2/spot/account/info",
                "",
                "",
                "1700000000000",
                "ojFao0h6BLGxS0wXMzGVqurV01wQAF+i43Zcn4cM0y0=",
            ),
            (
                "get",
                "/api/v2/spot/account/assets",
                "coin=USDT",
                "",
                "1700000000000",
                "gkJteffQp5jz2jEndwahmzB1SmA1I37Yyj+nuYX7rGQ=",
            ),
            (
                "POST",
                "/api/v2/spot/trade/place-order",
                "",
                r#"{"symbol":"BTCUSDT","side":"buy","orderType":"limit","force":"gtc","price":"60000","size":"0.001","clientOid":"blk-0001"}"#,
                "1700000000002",
                "86rryOLHP+xAGiSFRLHpLyBeTmUuwZJdqbStlYmmQ/M=",
            ),
            (
                "GET",
                "/api/v2/mix/position/all-position",
                "marginCoin=USDT&productType=USDT-FUTURES",
                "",
                "1700000000001",
                "IFj9SskY1YwFAprlx3XnQVTVJOh0CZP/vnIldMxHEcQ=",
            ),
            (
                "POST",
                "/api/v2/spot/trade/cancel-symbol-order",
                "",
                "{}",
                "1700000000003",
                "B4LImezc1vj+GgOLasgsC5yMce0eaM72A+Z5Fkf4+Sk=",
            ),
            (
                "GET",
                "/api/v2/spot/trade/orderInfo",
                "clientOid=a%2Bb%20c",
                "",
                "1700000000004",
                "faQoqsmfDbq8awFTOUWcM5iXlsa0yoLlt/TYmdJOPKg=",
            ),
        ] {
            let line = json!({
                "venue": "bitget", "method": method, "path": path, "query": query, "body": body, "timestamp": timestamp,
                "key": "bg_0123456789abcdef", "secret": "sk_test_secret_0001", "passphrase": "Passw0rd1",
            });
            let answer = answer(&line.to_string()).unwrap();
            assert_eq!(answer["headers"]["ACCESS-SIGN"], expected, "{path}");
            assert_eq!(answer["headers"]["ACCESS-PASSPHRASE"], "Passw0rd1");
        }
        assert!(answer("{}").is_err() && answer("x").is_err());
    }
}
