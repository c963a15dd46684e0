//! Tokens: with one, without, and until its end.

use serde_json::json;

use super::{frames::join, stage::Stage};
use crate::tokens::{KEYS, token};
use tandem_testkit::now_ms;

#[tokio::test]
async fn tokens_let_in_and_expire() {
    let soon = || json!({"exp": now_ms() / 1_000 + 3, "name": "Ana", "metadata": {"team": "red"}});
    let mut stage = Stage::with(&[("AUTH_MODE", "token"), ("AUTH_KEYS", KEYS)]).await;
    stage.connect("nobody").await;
    stage.send("nobody", join("room", "nobody", &json!({"features": []}))).await;
    stage.only_until("nobody", "ERROR").await;
    stage.only_closes("nobody").await;
    stage.connect("ana").await;
    stage.send("ana", join("room", "ana", &json!({"features": [], "token": token("ana", &soon())}))).await;
    stage.only_until("ana", "ROOM_STATE").await;
    stage.only_until("ana", "TOKEN_EXPIRING").await;
    let again = token("ana", &soon());
    stage.send("ana", json!({"type": "REFRESH_TOKEN", "token": again, "id": 1})).await;
    stage.only_until("ana", "ACK").await;
    stage.only_until("ana", "TOKEN_EXPIRING").await;
    stage.only_closes("ana").await;
    stage.compare("tokens");
}
