use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{FILES, secure};
use crate::headers::{Offer, preferred};

/// How long a browser should wait before it asks again, in seconds.
const RETRY_AFTER: &str = "5";

/// Why an invite link leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLink {
    /// The room does not exist, or no longer exists, or the link is malformed.
    Gone,
    /// Shared state cannot be reached now.
    Unavailable,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Page,
    Json,
}

impl DeadLink {
    fn status(self) -> StatusCode {
        match self {
            Self::Gone => StatusCode::NOT_FOUND,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The text for programs.
    fn error(self) -> &'static str {
        match self {
            Self::Gone => "Room not found",
            Self::Unavailable => "Failed to lookup room",
        }
    }

    /// The text for people. It contains nothing of the request.
    fn page(self) -> Option<String> {
        let (title, text, advice, button, href) = match self {
            Self::Gone => (
                "This room is gone",
                "The link leads to no room. Rooms vanish some minutes after the last one has left, and their links some hours later.",
                "<li>Ask whoever sent it for a new link.</li><li>If you typed it, compare it letter by letter.</li><li>Or start a room \
                 yourself, and send its link back.</li>",
                "Start or join a room",
                "/",
            ),
            Self::Unavailable => (
                "Just a moment",
                "The room behind this link cannot be looked up right now. Nothing is wrong with the link.",
                "<li>Try again in some seconds.</li><li>If it lasts, tell whoever runs this service.</li>",
                "Try again",
                "",
            ),
        };
        let page = FILES.get_file("dead-link.html")?.contents_utf8()?;
        let parts =
            [("{title}", title), ("{text}", text), ("{advice}", advice), ("{button}", button), ("{href}", href)];
        Some(parts.iter().fold(page.to_owned(), |page, (name, part)| page.replace(name, part)))
    }

    /// The answer: a page for browsers, JSON for programs that ask for it, and a line of text for everybody else.
    pub fn answer(self, asked: &HeaderMap) -> Response {
        let text = Offer { kind: "text/plain", version: "", choice: Shape::Text };
        let others = [
            Offer { kind: "text/html", version: "", choice: Shape::Page },
            Offer { kind: "application/json", version: "", choice: Shape::Json },
        ];
        let page =
            || self.page().map(|page| ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response());
        let mut response = match preferred(asked, &text, &others) {
            Shape::Json => Json(json!({ "error": self.error() })).into_response(),
            Shape::Page => page().unwrap_or_else(|| self.error().into_response()),
            Shape::Text => self.error().into_response(),
        };
        *response.status_mut() = self.status();
        secure(&mut response);
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        // The link may contain a PIN, and may lead somewhere the next time.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self == Self::Unavailable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}
