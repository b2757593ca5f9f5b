//! Our two cookies: the session, and a sign-in under way.
//!
//! Both are HttpOnly and SameSite=Lax; under https they are Secure and carry the `__Host-` prefix, so that no other host
//! and no plain http can set them (RFC 6265bis §4.1.3.2).

use axum::http::{HeaderMap, HeaderValue, header};

use crate::web::state::Public;

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The session's token.
    Session,
    /// Binds sign-ins that are under way to the browser that began them.
    SignIn,
}

impl Cookie {
    /// Its name.
    pub fn name(self, public: &Public) -> &'static str {
        match (self, public.https) {
            (Self::Session, true) => "__Host-countersign",
            (Self::Session, false) => "countersign",
            (Self::SignIn, true) => "__Host-countersign-sign-in",
            (Self::SignIn, false) => "countersign-sign-in",
        }
    }

    /// Its value in a request, if it has a plausible one.
    pub fn of<'a>(self, headers: &'a HeaderMap, public: &Public) -> Option<&'a str> {
        let name = self.name(public);
        let pairs = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
        let value = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name)?.1;
        let plausible = value.len() == 43 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        plausible.then_some(value)
    }

    /// Sets it for so many seconds. `value` is one of our random tokens.
    pub fn set(self, value: &str, seconds: i64, public: &Public) -> HeaderValue {
        let secure = if public.https { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name(public));
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Takes it away.
    pub fn clear(self, public: &Public) -> HeaderValue {
        self.set("", 0, public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn public(https: bool) -> Public {
        Public { origin: "x".into(), https }
    }

    #[test]
    fn under_https_nobody_else_can_set_them() {
        let set = Cookie::Session.set(TOKEN, 60, &public(true));
        let wanted = format!("__Host-countersign={TOKEN}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(set.to_str().unwrap(), wanted);
        let set = Cookie::Session.set(TOKEN, 60, &public(false));
        assert_eq!(set.to_str().unwrap(), format!("countersign={TOKEN}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"));
        assert!(Cookie::SignIn.clear(&public(true)).to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn only_the_right_name_with_a_plausible_value_is_read() {
        let read = |line: &str| {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_str("other=1").unwrap());
            headers.append(header::COOKIE, HeaderValue::from_str(line).unwrap());
            Cookie::Session.of(&headers, &public(true)).map(str::to_owned)
        };
        assert_eq!(read(&format!("a=b; __Host-countersign={TOKEN}; c=d")).as_deref(), Some(TOKEN));
        assert_eq!(read(&format!("countersign={TOKEN}")), None, "the plain name counts for nothing under https");
        assert_eq!(read(&format!("x__Host-countersign={TOKEN}")), None);
        assert_eq!(read("__Host-countersign=short"), None);
        assert_eq!(read(&format!("__Host-countersign={TOKEN}A")), None);
        assert_eq!(read("__Host-countersign"), None);
    }
}
