//! Recognises values that have no place in a settings file.
//!
//! Two signs: the name of the key, and text that looks drawn at random. Both err on the side of refusing: a name in
//! plain words, a path and an address pass; 24 characters of mixed letters and digits do not.

/// Shortest random text that is taken for a secret. Passphrases of exchanges may be shorter and are found by the key's
/// name; API keys and secrets are longer.
const RANDOM_LEN_MIN: usize = 24;

/// Entropy of the characters, in bits each, from which text counts as random. Random hexadecimal of 24 characters has
/// about 3.4, base64 about 4.2.
const ENTROPY_BITS_MIN: f64 = 2.9;

/// Characters that must stand in parts that mix letters and digits (or capitals and small letters) before text counts
/// as random.
const MIXED_LEN_MIN: usize = 16;

/// Whether a key of this name asks for a secret.
#[must_use]
pub(crate) fn names_a_secret(key: &str) -> bool {
    const WHOLE: &[&str] = &["pwd", "token", "totp", "seed_phrase", "mnemonic"];
    const WITHIN: &[&str] = &[
        "secret",
        "passphrase",
        "password",
        "passwd",
        "apikey",
        "privatekey",
        "accesskey",
        "bearertoken",
        "authtoken",
    ];
    let lower = key.to_ascii_lowercase();
    if lower.ends_with("_file") || lower.ends_with("-file") {
        return false;
    }
    let joined: String = lower.chars().filter(|character| character.is_ascii_alphanumeric()).collect();
    WHOLE.contains(&lower.as_str()) || WITHIN.iter().any(|word| joined.contains(word))
}

/// Whether the text, or a part of a path or address in it, looks drawn at random.
#[must_use]
pub(crate) fn looks_random(text: &str) -> bool {
    let is_path_like = text.contains("://") || text.starts_with(['/', '.', '~']) || text.contains(char::is_whitespace);
    if is_path_like {
        text.split(|character: char| !(character.is_ascii_alphanumeric() || "-_+=".contains(character)))
            .any(is_random_word)
    } else {
        text.split([':', ',', ';', '.']).any(is_random_word)
    }
}

fn is_random_word(word: &str) -> bool {
    let of_the_alphabet = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte));
    if word.len() < RANDOM_LEN_MIN || !of_the_alphabet || entropy_bits(word) < ENTROPY_BITS_MIN {
        return false;
    }
    let mixed: usize = word.split(['-', '_']).filter(|part| is_mixed(part)).map(str::len).sum();
    mixed >= MIXED_LEN_MIN
}

/// Letters with digits among them, or letters whose case changes as it does in no word.
fn is_mixed(part: &str) -> bool {
    let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let case_changes = part
        .as_bytes()
        .windows(2)
        .filter(|pair| matches!(pair, [left, right] if left.is_ascii_lowercase() && right.is_ascii_uppercase()))
        .count();
    (letters > 0 && digits > 0) || case_changes >= 4
}

/// Shannon entropy of the characters, in bits each.
fn entropy_bits(word: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in word.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = word.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f64::from(*count) / length;
            -share * share.log2()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_exchanges_look_random() {
        for text in [
            "bg_4f7a1c9e02b85d36a7c1f09e8d2b4a65",
            "9b1f6e2a7c4d8035e6f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7",
            "a1b2c3d4-e5f6-4790-abcd-ef1234567890",
            "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzEXAMPLEKEY1",
            "https://hooks.example.com/services/T0001/B0002/Xa9fK2mQp7Rt4Lw8Zc1Vn6Bd",
        ] {
            assert!(looks_random(text), "{text}");
        }
    }

    #[test]
    fn names_paths_and_addresses_do_not_look_random() {
        for text in [
            "credential:vault-passphrase",
            "/run/credentials/steadfast.service/vault-passphrase",
            "file:/run/secrets/steadfast-vault-passphrase",
            "https://api.bitget.com/api/v2/spot/public/symbols",
            "ws://127.0.0.1:7450/v2/ws/private",
            "btc-grid-conservative-2024-v2",
            "info,market-feed=debug,order-gateway=trace",
            "aaaaaaaaaaaaaaaaaaaaaaaa1111",
            "250.123456789012345678901234567890",
            "0.0005",
            "this sentence has 3 numbers 1 2 and no secret at all",
        ] {
            assert!(!looks_random(text), "{text}");
        }
    }

    #[test]
    fn key_names_that_ask_for_a_secret_are_known() {
        for name in ["secret", "api_key", "apiKey", "passphrase", "secret_key", "vault_password", "token", "API_SECRET"]
        {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["key", "key_policy", "token_file", "unlock", "rotate_after", "passphrase_file", "pin"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
