//! Paths of ours that people may be sent to.

/// The longest path that is carried along.
const LONGEST: usize = 2_000;

/// `path` as a place of ours to go to after signing in; `None` for anything that could lead elsewhere, or nowhere useful.
pub fn own_path(path: &str) -> Option<&str> {
    // Browsers treat `\` as `/` and drop tabs and line ends, so `/\evil`, `//evil` and `/<tab>/evil` are other hosts.
    let tame = path.len() <= LONGEST && path.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\');
    let ours = path.starts_with('/') && !path.starts_with("//");
    let door = ["/sign-in", "/sign-out", "/signed-out", "/api/"].iter().any(|prefix| path.starts_with(prefix));
    (tame && ours && !door).then_some(path)
}

/// Percent-encodes a value for a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_path_stays_here() {
        for good in ["/", "/requests/1?a=b&c=%2F", "/catalog?q=//x", "/x#y"] {
            assert_eq!(own_path(good), Some(good));
            // The browser's own rules agree.
            let base = reqwest::Url::parse("https://access.example.org/sign-in").unwrap();
            assert_eq!(base.join(good).unwrap().origin(), base.origin());
        }
        let long = format!("/{}", "x".repeat(LONGEST));
        for bad in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil",
            "https://evil.example",
            "javascript:alert(1)",
            " /x",
            "/x y",
            "/é",
            "/\0",
            "/sign-in?to=/",
            "/sign-out",
            "/signed-out",
            "/api/v1/requests",
            &long,
        ] {
            assert_eq!(own_path(bad), None, "{bad:?}");
        }
    }
}
