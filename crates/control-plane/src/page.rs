//! The files of the live page: plain HTML, one ES module, one style sheet, nothing from elsewhere.

use crate::routes::PageFile;

pub(crate) static INDEX: PageFile =
    PageFile { media_type: "text/html; charset=utf-8", text: include_str!("page/index.html") };
pub(crate) static SCRIPT: PageFile =
    PageFile { media_type: "text/javascript; charset=utf-8", text: include_str!("page/page.js") };
pub(crate) static STYLE: PageFile =
    PageFile { media_type: "text/css; charset=utf-8", text: include_str!("page/page.css") };
pub(crate) static ICON: PageFile = PageFile { media_type: "image/svg+xml", text: include_str!("page/icon.svg") };

/// What the browser may do with our answers: run our own script and style, speak to us, nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'";

#[cfg(test)]
mod tests {
    use super::*;

    /// Ways by which text could become markup or code.
    const UNSAFE_SINKS: [&str; 14] = [
        "innerhtml",
        "outerhtml",
        "insertadjacenthtml",
        "document.write",
        "eval(",
        "function(",
        "settimeout(\"",
        "settimeout('",
        "domparser",
        "createcontextualfragment",
        "srcdoc",
        "javascript:",
        "setattribute(\"on",
        "import(",
    ];

    fn sinks_in(script: &str) -> Vec<&'static str> {
        let script: String = script.to_lowercase().split_whitespace().collect();
        UNSAFE_SINKS.iter().copied().filter(|sink| script.contains(sink)).collect()
    }

    #[test]
    fn script_has_no_way_from_text_to_markup_or_code() {
        assert_eq!(sinks_in(SCRIPT.text), Vec::<&str>::new());
        assert!(SCRIPT.text.contains("createTextNode"), "text reaches the page as text nodes");
    }

    #[test]
    fn scan_finds_a_planted_sink() {
        assert_eq!(sinks_in("cell . innerHTML = order.note"), ["innerhtml"]);
        assert_eq!(sinks_in("new Function ('x')"), ["function("]);
    }

    #[test]
    fn page_loads_nothing_from_elsewhere_and_has_no_inline_code() {
        for file in [&INDEX, &SCRIPT, &STYLE, &ICON] {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("@import"));
        }
        let page = INDEX.text.to_lowercase();
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=\"/page.js\">").count());
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick"));
    }

    #[test]
    fn policy_allows_our_own_script_and_nothing_inline() {
        assert!(CONTENT_SECURITY_POLICY.contains("script-src 'self';"));
        assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    }
}
