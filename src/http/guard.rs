//! Who may ask: no page of another site, and to change something, or to be told what is private, only who has the token.
//!
//! A browser sends requests for any page that it shows, also to the machine it runs on.
//! It tells whose page that is in `Origin`, and by what name it was led here in `Host`: a name that its owner
//! lets point to this machine ("DNS rebinding") is refused, an address or `localhost` is not.
//! Behind a proxy that encrypts, the page of this node is one of `https`: its host says that it is the same site.

use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::reply::Refused;
use super::serve::Site;

/// What is told to nobody else than who may change something: the keys of what people keep.
const PRIVATE: &str = "/db";

/// Lets through what may be asked.
pub(super) async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    if let Err(refused) = check(&site, &request) {
        let mut response = refused.into_response();
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        return response;
    }
    site.count_request();
    next.run(request).await
}

fn check(site: &Site, request: &Request) -> Result<(), Refused> {
    let host = host(request.headers(), request.uri())?;
    if !is_no_name(host) {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            format!("{host} is a name: name this node by its IP address, or by localhost"),
        ));
    }
    if let Some(origin) = request.headers().get(ORIGIN)
        && !is_same_site(origin.as_bytes(), host)
    {
        return Err(Refused::new(StatusCode::FORBIDDEN, "a page of another site asks".to_owned()));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_private = request.uri().path() == PRIVATE;
    if (reads && !is_private) || has_token(site, request.headers()) {
        return Ok(());
    }
    let what = if reads { "this tells the keys of what people keep" } else { "this changes something" };
    Err(Refused::new(
        StatusCode::UNAUTHORIZED,
        format!(
            "{what}: it needs the header \"Authorization: Bearer TOKEN\" with the token that was told at the start"
        ),
    ))
}

/// Whether a request bears the token.
pub(super) fn has_token(site: &Site, headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|word| site.token.is(word))
}

/// By what name this node was found.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Result<&'a str, Refused> {
    let told = headers.get(HOST).and_then(|host| host.to_str().ok());
    uri.authority()
        .map(Authority::as_str)
        .or(told)
        .ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, "the header Host is missing".to_owned()))
}

/// Whether a page from there is one of this node, which was found by the name `host`.
fn is_same_site(origin: &[u8], host: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| origin.strip_prefix(scheme.as_bytes()) == Some(host.as_bytes()))
}

fn is_no_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || IpAddr::from_str(bare).is_ok()
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let word = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = word.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_same_host_is_of_the_same_site_whether_a_proxy_encrypts_it_or_not() {
        let is_same = |origin: &str| is_same_site(origin.as_bytes(), "192.0.2.1:8080");
        assert!(is_same("http://192.0.2.1:8080") && is_same("https://192.0.2.1:8080"));
        for other in [
            "",
            "null",
            "192.0.2.1:8080",
            "ftp://192.0.2.1:8080",
            "https://192.0.2.1",
            "https://192.0.2.1:80801",
        ] {
            assert!(!is_same(other), "{other}");
        }
    }

    #[test]
    fn a_name_is_told_from_an_address() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]"] {
            assert!(is_no_name(host), "{host}");
        }
        for host in
            ["chat.example", "chat.example:80", "localhost.example", "127.0.0.1.example:80", "", ":80"]
        {
            assert!(!is_no_name(host), "{host}");
        }
    }
}
