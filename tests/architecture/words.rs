//! The words of Rust code, without those in comments and texts.

/// Names and keywords of `text`, in order.
pub(crate) fn of(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let first = rest.chars().next()?;
            if let Some(length) = skipped(rest) {
                rest = rest.get(length..).unwrap_or("");
            } else if first.is_alphanumeric() || first == '_' {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                rest = behind;
                return Some(word);
            } else {
                rest = rest.get(first.len_utf8()..).unwrap_or("");
            }
        }
    })
}

/// Length of the comment or literal that `rest` begins with, if it does.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let literal = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - literal.len();
    if prefix <= 1 {
        if let Some(raw) = literal.strip_prefix('r') {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            if raw.get(hashes..)?.starts_with('"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let body = prefix + 1 + hashes + 1;
                let end = rest.get(body..)?.find(&close).map_or(rest.len(), |at| body + at + close.len());
                return Some(end);
            }
        }
        if literal.starts_with('"') {
            return Some(prefix + quoted(literal, '"'));
        }
        if literal.starts_with('\'') && is_character(literal) {
            return Some(prefix + quoted(literal, '\''));
        }
    }
    // A lifetime: its name is skipped with it.
    rest.strip_prefix('\'').map(|name| 1 + name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len()))
}

/// Whether a quote opens a character and not a lifetime.
fn is_character(literal: &str) -> bool {
    let mut characters = literal.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

/// Length of a literal in quotes with escapes.
fn quoted(literal: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in literal.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + character.len_utf8(),
            _ => {}
        }
    }
    literal.len()
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}
