//! The page at `/`: the ring as a circle that changes while one looks, and the chat beside it.
//!
//! Its files are part of the program; all that they show, they ask for by the paths of `openapi.json`.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};

use super::reply::Refused;

/// Nothing but what this program serves; and no other page may show this one within itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files that the page consists of.
const FILES: &[(&str, &str, &str)] = &[
    ("page.css", STYLE, include_str!("page/page.css")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("stream.js", SCRIPT, include_str!("page/stream.js")),
    ("draw.js", SCRIPT, include_str!("page/draw.js")),
    ("ring.js", SCRIPT, include_str!("page/ring.js")),
    ("ways.js", SCRIPT, include_str!("page/ways.js")),
    ("chat.js", SCRIPT, include_str!("page/chat.js")),
];

/// `GET /`.
pub(super) async fn page() -> Response {
    let headers =
        [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache"), (REFERRER_POLICY, "no-referrer")];
    (headers, Html(include_str!("page/index.html"))).into_response()
}

/// `GET /page/{file}`.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(other, ..)| *other == name) {
        Some(&(_, kind, text)) => {
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], text)
                .into_response()
        }
        None => Refused::new(StatusCode::NOT_FOUND, "the page has no such file").into_response(),
    }
}
