//! Tokens in the wrong place, in the wrong hands, or signed by nobody, on real sockets.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};
use tandem::token::{Algorithm, NewKey, SigningKey};
use tandem_testkit::{
    Client, Frame, TestApp,
    client::{Connect, quiet},
    now_ms,
};

use super::{app, member, not_upgraded, refused, token, with};
use crate::accounts::metric;

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What a RESUME of ana's seat says.
fn resume(state: &Frame, user: &str, token: &str) -> Value {
    json!({"type": "RESUME", "roomId": "film", "userId": user, "resumeToken": state["resumeToken"],
        "epoch": state["epoch"], "version": state["version"], "features": ["resume"], "token": token})
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_a_token_in_the_url() {
    let good = [("Origin", "https://good.example")];
    let settings = [("ALLOWED_ORIGINS", "https://good.example"), ("AUTH_URL_TOKEN", "true")];
    let open = app("token", &settings).await;
    let path = format!("/ws?room=film&user=ana&features=&token={}", token("ana", &json!({})));
    let offered = format!("tandem, tandem.bearer.{}", token("ana", &json!({})));
    for origins in [
        &[("Origin", "https://evil.example")][..],
        &[("Origin", "null")],
        &[("Origin", "https://good.example.evil.example")],
        &[("Origin", "https://good.example"), ("Origin", "https://evil.example")],
        &[],
    ] {
        let how = Connect { path: Some(&path), headers: origins, ..Connect::default() };
        let (status, body, _) = not_upgraded(&open, how).await;
        assert_eq!(status, 403, "{origins:?}: {body}");
        let headers: Vec<_> = origins.iter().copied().chain([("Sec-WebSocket-Protocol", offered.as_str())]).collect();
        assert_eq!(not_upgraded(&open, Connect { headers: &headers, ..Connect::default() }).await.0, 403);
    }
    // Told by a close, it is told nothing else.
    let closing = format!("{path}&refuse=close");
    let evil = [("Origin", "https://evil.example")];
    let mut client =
        Client::connect_with(&open, Connect { path: Some(&closing), headers: &evil, ..Connect::default() }).await;
    client.expect_error("forbidden").await;
    let (frames, closed) = client.closed().await;
    assert_eq!((frames.len(), closed), (0, Some(4503)));
    let how = Connect { path: Some(&path), headers: &good, ..Connect::default() };
    let state = Client::connect_with(&open, how).await.expect("ROOM_STATE").await;
    assert_eq!((state.users(), &state["version"]), (vec!["ana"], &json!(2)), "nobody was here before");

    // Without the setting the URL is no place for a token, whatever page it is.
    let closed = app("token", &settings[..1]).await;
    let (status, body, _) = not_upgraded(&closed, how).await;
    assert_eq!((status, body.contains("AUTH_URL_TOKEN")), (401, true), "{body}");
    assert_eq!(metric(&closed, "tandem_tokens_refused_total{why=\"in_url\"}").await, 1);
}

#[tokio::test]
async fn a_room_outside_the_token_stays_shut() {
    let app = app("token", &[("AUTH_URL_TOKEN", "true")]).await;
    let mut host = Client::connect(&app).await;
    host.enter("film", "host", with(&token("host", &json!({})))).await;
    for claims in [
        json!({"room": "other"}),
        json!({"room": "Film"}),
        json!({"room": "film "}),
        json!({"room": "*"}),
        json!({"room": "fi*"}),
        json!({"rooms": []}),
        json!({"rooms": ["film-*", "FILM", "f"]}),
    ] {
        let shown = token("ana", &claims);
        assert_eq!(refused(&app, "ana", with(&shown)).await, ("forbidden".to_owned(), None), "{claims}");
        // The same by URL, and with a token that was shown before the room was named.
        let path = format!("/ws?room=film&user=ana&features=&token={shown}");
        let mut client = Client::connect_with(&app, Connect { path: Some(&path), ..Connect::default() }).await;
        client.expect_error("forbidden").await;
        let auth = bearer(&shown);
        let headers = [("Authorization", auth.as_str())];
        let mut client = Client::connect_with(&app, Connect { headers: &headers, ..Connect::default() }).await;
        client.send_join("film", "ana", json!({"features": []})).await;
        client.expect_error("forbidden").await;
    }
    // Whoever is in its room gets no further: not by a new token, not by JOIN, and not by RESUME.
    let lobby = token("ana", &json!({"room": "lobby"}));
    let mut ana = Client::connect(&app).await;
    let state = ana.enter("lobby", "ana", json!({"features": ["resume"], "token": lobby})).await;
    ana.refused(json!({"type": "REFRESH_TOKEN", "token": token("ana", &json!({"room": "film"}))}), "forbidden").await;
    ana.send_join("film", "ana", json!({"features": []})).await;
    assert_eq!(ana.until("ERROR").await["code"], "forbidden");
    let mut ana = Client::connect(&app).await;
    ana.send(resume(&state, "ana", &lobby)).await;
    ana.expect_error("forbidden").await;
    quiet(&mut [&mut host]).await;
}

#[tokio::test]
async fn two_places_that_disagree_are_refused() {
    fn sub(list: &str) -> (&str, &str) {
        ("Sec-WebSocket-Protocol", list)
    }

    let app = app("token", &[("AUTH_URL_TOKEN", "true")]).await;
    let (ana, ben) = (token("ana", &json!({})), token("ben", &json!({})));
    // Another token of the same user is another one, too.
    let again = token("ana", &json!({"role": "host"}));
    let (header, offered) = (bearer(&ana), |token: &str| format!("tandem, tandem.bearer.{token}"));
    let url = |token: &str| format!("/ws?token={token}");
    let in_url = (url(&ben), url(&again), format!("{}&token={ben}", url(&ana)));
    let in_list = (offered(&ben), offered(&again), format!("{}, tandem.bearer.{ben}", offered(&ana)));
    let auth = ("Authorization", header.as_str());
    let more = bearer(&ben);
    for (headers, path) in [
        (vec![auth, sub(&in_list.0)], None),
        (vec![auth, sub(&in_list.1)], None),
        (vec![sub(&in_list.2)], None),
        (vec![auth, ("Authorization", &more)], None),
        (vec![auth], Some(&in_url.0)),
        (vec![auth], Some(&in_url.1)),
        (vec![], Some(&in_url.2)),
        (vec![sub(&in_list.0)], Some(&in_url.1)),
    ] {
        let how = Connect { headers: &headers, path: path.map(String::as_str), ..Connect::default() };
        let (status, body, _) = not_upgraded(&app, how).await;
        assert_eq!((status, body.contains("two tokens")), (401, true), "{body}");
    }
    // A socket stays with its user.
    let mut client = Client::connect_with(&app, Connect { headers: &[auth], ..Connect::default() }).await;
    client.send_join("film", "ben", with(&ben)).await;
    client.expect_error("unauthorized").await;
    assert_eq!(client.closed().await.1, Some(4501));
    assert_eq!(metric(&app, "tandem_tokens_refused_total{why=\"disagree\"}").await, 9);
}

#[tokio::test]
async fn a_resume_with_the_token_of_another_user_takes_no_seat() {
    let app = app("token", &[]).await;
    let mut host = Client::connect(&app).await;
    host.enter("film", "host", with(&token("host", &json!({})))).await;
    let mut ana = Client::connect(&app).await;
    let resumable = json!({"features": ["resume"], "token": token("ana", &json!({}))});
    let state = ana.enter("film", "ana", resumable).await;
    host.expect("USER_JOINED").await;
    ana.fence().await;
    ana.reset();
    host.expect("MEMBER_AWAY").await;
    let bens = token("ben", &json!({}));
    for user in ["ana", "ben"] {
        let mut thief = Client::connect(&app).await;
        thief.send(resume(&state, user, &bens)).await;
        let code = thief.expect("ERROR").await["code"].clone();
        assert!(["forbidden", "unauthorized", "not_joined"].contains(&code.as_str().unwrap()), "{user}: {code}");
        thief.send(json!({"type": "REQUEST_SYNC"})).await;
        assert_eq!(thief.until("ERROR").await["code"], "not_joined");
    }
    let mut ana = Client::connect(&app).await;
    ana.send(resume(&state, "ana", &token("ana", &json!({})))).await;
    ana.expect("RESUMED").await;
    assert_eq!(host.expect("MEMBER_BACK").await["userId"], "ana");
}

#[tokio::test]
async fn the_token_of_somebody_kicked_or_banned_does_not_bring_them_back() {
    let app = app("token", &[("TRUST_PROXY_HOPS", "1")]).await;
    let mut host = Client::connect_from(&app, "203.0.113.1").await;
    host.enter("film", "host", with(&token("host", &json!({"role": "host"})))).await;
    let (ana, again) = (token("ana", &json!({})), token("ana", &json!({"role": "co-host", "device": "phone"})));
    for (kind, code, elsewhere) in [("KICK", "forbidden", "203.0.113.7"), ("BAN", "banned", "203.0.113.8")] {
        let mut client = Client::connect_from(&app, "203.0.113.7").await;
        let state = client.enter("film", "ana", json!({"features": ["resume"], "token": ana})).await;
        host.acked(json!({"type": kind, "targetUserId": "ana"})).await;
        assert_eq!(client.closed().await.1, Some(4503));
        let mut back = Client::connect_from(&app, elsewhere).await;
        back.send_join("film", "ana", with(&ana)).await;
        back.expect_error(code).await;
        let mut back = Client::connect_from(&app, elsewhere).await;
        back.send(resume(&state, "ana", &ana)).await;
        let answer = back.expect("ERROR").await;
        assert!(["not_joined", "forbidden", code].contains(&answer.str("code")), "{kind}: {answer:?}");
        if kind == "KICK" {
            host.acked(json!({"type": "UNBAN", "targetUserId": "ana"})).await;
        } else {
            // Another device is another userId; from the banned address it is refused as well.
            let mut phone = Client::connect_from(&app, "203.0.113.7").await;
            phone.send_join("film", "ana#phone", with(&again)).await;
            phone.expect_error("banned").await;
        }
    }
}

/// A token with any header, "signed" with anything.
fn forge(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn refused_everywhere(app: &TestApp, forged: &str, why: &str) {
    let auth = bearer(forged);
    let headers = [("Authorization", auth.as_str())];
    let (status, body, challenge) = not_upgraded(app, Connect { headers: &headers, ..Connect::default() }).await;
    assert_eq!((status, challenge.unwrap().contains("invalid_token")), (401, true), "{why}: {body}");
    assert_eq!(refused(app, "ana", with(forged)).await, ("unauthorized".to_owned(), Some(4501)), "{why}");
}

#[tokio::test]
async fn what_no_key_has_signed_is_refused_over_the_wire() {
    let claims = json!({"sub": "ana", "role": "host", "exp": now_ms() / 1_000 + 600});
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let key = NewKey::make(algorithm).unwrap();
        let public = key.public.unwrap();
        let keys = format!("app={}:{}", algorithm.name(), public.replace('\n', "\\n"));
        let app = TestApp::start_with(&[("AUTH_MODE", "mixed"), ("AUTH_KEYS", &keys)]).await;
        let header = |alg: &str| json!({"alg": alg, "kid": "app", "typ": "JWT"});
        for alg in ["none", "None", "", "HS256", algorithm.name()] {
            let signed = forge(&header(alg), &claims, b"");
            let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
            refused_everywhere(&app, &unsigned, alg).await;
        }
        // Everybody knows a public key: it must never be taken for a secret.
        for secret in [public.as_str(), public.trim_end(), &public.replace('\n', "\\n")] {
            for alg in ["HS256", algorithm.name()] {
                refused_everywhere(&app, &forge(&header(alg), &claims, secret.as_bytes()), alg).await;
            }
        }
        // A key of the attacker's own, named or sent along.
        let own = NewKey::make(algorithm).unwrap();
        let signed = SigningKey::private(Some("app"), &own.private).unwrap().sign(&claims).unwrap();
        refused_everywhere(&app, &signed, "another key of this name").await;
        let mut along = header("HS256");
        along["jwk"] = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(b"x")});
        along["jku"] = "http://127.0.0.1:9/keys".into();
        refused_everywhere(&app, &forge(&along, &claims, b"x"), "a key in the header").await;
        // The true one is accepted, and nobody else was in.
        let genuine = SigningKey::private(Some("app"), &key.private).unwrap().sign(&claims).unwrap();
        let mut ana = Client::connect(&app).await;
        let state = ana.enter("film", "ana", with(&genuine)).await;
        assert_eq!((member(&state, "ana")["verified"].clone(), state.users()), (json!(true), vec!["ana"]));
    }
}
