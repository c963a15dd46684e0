//! What a client says as it opens its socket: a token, and by the URL a JOIN or RESUME.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::tokens::{Held, NotAdmitted};
use crate::{
    headers::list,
    protocol::Confidential,
    token::{Identity, Invitation},
};

/// The subprotocol that is selected if it is offered.
pub(super) const SUBPROTOCOL: &str = "tandem";
/// What comes before a token that is offered as a subprotocol, which is the one header that a page can set.
const BEARER_SUBPROTOCOL: &str = "tandem.bearer.";

/// What a request for a socket says besides the handshake.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// The tokens that were shown, in the order header, subprotocol, URL.
    tokens: Vec<Confidential>,
    /// Whether one of them was in the URL.
    pub(super) token_in_url: bool,
    /// Whether the subprotocol was offered.
    pub(super) offers_subprotocol: bool,
    /// Whether a refusal is to be told by closing the socket, because a page sees nothing of an answer of HTTP.
    pub(super) refuse_by_close: bool,
    /// The parameters for a JOIN or RESUME.
    parameters: Map<String, Value>,
}

/// What happens first on a socket.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The token that the client is held to.
    pub(super) held: Option<Box<Held>>,
    /// Frames that are handled as if the client had sent them. Those after the first one that grants it a seat are not.
    pub(super) frames: Vec<String>,
}

impl Opening {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_none() && self.frames.is_empty()
    }
}

impl Wish {
    pub(super) fn read(headers: &HeaderMap, query: Option<&str>) -> Self {
        let mut wish = Self::default();
        for line in headers.get_all(header::AUTHORIZATION) {
            let text = String::from_utf8_lossy(line.as_bytes());
            if let Some((scheme, token)) = text.trim().split_once(' ')
                && scheme.eq_ignore_ascii_case("bearer")
            {
                wish.tokens.push(Confidential::from(Box::from(token.trim())));
            }
        }
        for name in list(headers, header::SEC_WEBSOCKET_PROTOCOL) {
            let name = String::from_utf8_lossy(name);
            if let Some(token) = name.strip_prefix(BEARER_SUBPROTOCOL) {
                wish.tokens.push(Confidential::from(Box::from(token)));
            }
            wish.offers_subprotocol |= name == SUBPROTOCOL;
        }
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let value = value.into_owned();
            match &*name {
                "token" => {
                    wish.tokens.push(Confidential::from(value.into_boxed_str()));
                    wish.token_in_url = true;
                }
                "refuse" => wish.refuse_by_close = value == "close",
                "room" => wish.set("roomId", Value::String(value)),
                "user" => wish.set("userId", Value::String(value)),
                "name" => wish.set("username", Value::String(value)),
                "pin" => wish.set("pin", Value::String(value)),
                "invite" => wish.set("invite", Value::String(value)),
                "resume" => wish.set("resumeToken", Value::String(value)),
                "features" => {
                    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                    wish.set("features", names.collect());
                }
                // What is no number is refused by the frame, which names it.
                "epoch" | "version" => {
                    let number = value.parse::<u64>().map_or_else(|_| Value::String(value), Value::from);
                    wish.set(&name, number);
                }
                _ => {}
            }
        }
        wish
    }

    fn set(&mut self, name: &str, value: Value) {
        self.parameters.insert(name.to_owned(), value);
    }

    /// The token, if all that were shown are the same one.
    pub(super) fn token(&self) -> Result<Option<&Confidential>, NotAdmitted> {
        let Some((first, others)) = self.tokens.split_first() else { return Ok(None) };
        if others.iter().any(|other| other != first) {
            return Err(NotAdmitted::Disagree);
        }
        Ok(Some(first))
    }

    /// The invitation in the URL.
    pub(super) fn invitation(&self) -> Option<&str> {
        self.parameters.get("invite").and_then(Value::as_str)
    }

    /// Whether the URL asks to come in: it names a room, or has an invitation into one, and a user. Clients of the first generation may have other parameters there.
    pub(super) fn joins(&self) -> bool {
        let names_room = self.parameters.contains_key("roomId") || self.parameters.contains_key("invite");
        names_room && self.parameters.contains_key("userId")
    }

    /// The frames that the URL stands for. The token and the invitation say what the URL leaves out.
    pub(super) fn frames(mut self, identity: Option<&Identity>, invitation: Option<&Invitation>) -> Vec<String> {
        if let Some(invitation) = invitation {
            self.parameters.entry("roomId").or_insert_with(|| json!(invitation.room.as_str()));
        }
        let names_one = self.parameters.contains_key("roomId") || self.parameters.contains_key("userId");
        if let Some(identity) = identity.filter(|_| names_one) {
            let user = || json!(identity.user.as_str());
            self.parameters.entry("userId").or_insert_with(user);
            if let Some(room) = identity.rooms.single() {
                self.parameters.entry("roomId").or_insert_with(|| json!(room.as_str()));
            }
        }
        if !self.joins() {
            return Vec::new();
        }
        let frame = |kind: &str, mut fields: Map<String, Value>| {
            fields.insert("type".to_owned(), kind.into());
            Value::Object(fields).to_string()
        };
        let mut join = self.parameters;
        let missed = [join.remove("epoch"), join.remove("version")];
        let mut frames = Vec::new();
        if let [Some(epoch), Some(version)] = missed
            && join.contains_key("resumeToken")
        {
            let mut resume = join.clone();
            resume.insert("epoch".to_owned(), epoch);
            resume.insert("version".to_owned(), version);
            for name in ["pin", "username", "invite"] {
                resume.remove(name);
            }
            frames.push(frame("RESUME", resume));
        }
        frames.push(frame("JOIN", join));
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(query: &str) -> Vec<Value> {
        let frames = Wish::read(&HeaderMap::new(), Some(query)).frames(None, None);
        frames.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    #[test]
    fn a_url_stands_for_a_join() {
        let join = json!({"type": "JOIN", "roomId": "film night", "userId": "ana", "username": "Ana", "pin": "12", "features": ["resume", "ack"]});
        assert_eq!(frames("room=film%20night&user=ana&name=Ana&pin=12&features=resume,%20ack&utm=x"), [join]);
        for no_join in ["", "pin=1&token=x", "room=x&y=%20", "user=ana"] {
            assert!(frames(no_join).is_empty(), "{no_join}");
        }
    }

    #[test]
    fn with_a_token_and_a_position_it_resumes_first() {
        let both = frames("room=r&user=ana&resume=t&epoch=7&version=9&pin=1");
        let resume =
            json!({"type": "RESUME", "roomId": "r", "userId": "ana", "resumeToken": "t", "epoch": 7, "version": 9});
        let join = json!({"type": "JOIN", "roomId": "r", "userId": "ana", "resumeToken": "t", "pin": "1"});
        assert_eq!(both, [resume, join.clone()]);
        assert_eq!(frames("room=r&user=ana&resume=t&pin=1"), [join]);
        assert_eq!(frames("room=r&user=ana&resume=t&epoch=x&version=9")[0]["epoch"], "x");
    }

    #[test]
    fn a_token_may_come_in_three_ways_but_only_one() {
        const AUTH: header::HeaderName = header::AUTHORIZATION;
        const SUB: header::HeaderName = header::SEC_WEBSOCKET_PROTOCOL;

        let read = |lines: &[(header::HeaderName, &str)], query: &str| {
            let headers = lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            let wish = Wish::read(&headers, Some(query));
            (wish.token().map(|token| token.map(|token| token.to_string())), wish.offers_subprotocol)
        };
        let one = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(&[], ""), (Ok(None), false));
        assert_eq!(read(&[(AUTH, "Bearer a.b.c")], ""), (one("a.b.c"), false));
        assert_eq!(read(&[(AUTH, "Basic a.b.c")], ""), (Ok(None), false));
        assert_eq!(read(&[(SUB, "tandem, tandem.bearer.a.b.c")], ""), (one("a.b.c"), true));
        assert_eq!(read(&[(SUB, "other")], "token=a.b.c"), (one("a.b.c"), false));
        assert_eq!(read(&[(AUTH, "bearer a.b.c")], "token=a.b.c").0, one("a.b.c"));
        assert_eq!(read(&[(AUTH, "bearer a.b.c")], "token=a.b.d").0, Err(NotAdmitted::Disagree));
        assert_eq!(read(&[(SUB, "tandem.bearer.x, tandem.bearer.y")], "").0, Err(NotAdmitted::Disagree));
    }
}
