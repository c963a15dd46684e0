//! Speaks the documented protocol as a server, as far as the driver needs it: what there is to test the driver with where there is no
//! Centrifugo.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{Sender, channel},
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::{
    client::{Client, Peer, Seat},
    scan::{self, Beat},
    target::Target,
};

/// Who listens to a channel: the connection's name, and the way to it.
type Listeners = Vec<(String, Sender<String>)>;

#[derive(Default)]
struct Double {
    channels: Mutex<HashMap<String, Listeners>>,
    pongs: AtomicUsize,
}

impl Double {
    async fn start() -> (Arc<Self>, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(listener.local_addr().unwrap(), "/connection/websocket").unwrap();
        let double = Arc::new(Self::default());
        let shared = Arc::clone(&double);
        tokio::spawn(async move {
            while let Ok((tcp, from)) = listener.accept().await {
                tokio::spawn(Arc::clone(&shared).serve(tcp, from.to_string()));
            }
        });
        (double, target)
    }

    async fn serve(self: Arc<Self>, tcp: TcpStream, name: String) {
        let mut socket = accept_async(tcp).await.unwrap();
        let (sender, mut pushes) = channel::<String>(64);
        loop {
            tokio::select! {
                frame = socket.next() => {
                    let Some(Ok(Message::Text(frame))) = frame else { return };
                    let replies: Vec<String> =
                        frame.lines().flat_map(|line| self.answer(&serde_json::from_str(line).unwrap(), &name, &sender)).collect();
                    if !replies.is_empty() {
                        // All in one frame, and a ping behind them.
                        socket.send(Message::Text((replies.join("\n") + "\n{}").into())).await.unwrap();
                    }
                }
                Some(push) = pushes.recv() => socket.send(Message::Text(push.into())).await.unwrap(),
            }
        }
    }

    fn answer(&self, command: &Value, name: &str, sender: &Sender<String>) -> Vec<String> {
        let id = &command["id"];
        let mut channels = self.channels.lock().unwrap();
        let push = |listeners: &Listeners, channel: &str, kind: &str, what: Value| {
            for (_, listener) in listeners {
                listener.try_send(json!({"push": {"channel": channel, kind: what}}).to_string()).unwrap();
            }
        };
        if command["connect"].is_object() {
            return vec![json!({"id": id, "connect": {"client": name, "version": "double", "ping": 25}}).to_string()];
        }
        if let Some(channel) = command["subscribe"]["channel"].as_str() {
            let listeners = channels.entry(channel.to_owned()).or_default();
            if channel == "locked" {
                return vec![json!({"id": id, "error": {"code": 103, "message": "permission denied"}}).to_string()];
            }
            listeners.push((name.to_owned(), sender.clone()));
            // Those that are there, and the one that comes: whether it is told itself is left to the server.
            push(listeners, channel, "join", json!({"info": {"user": "", "client": name}}));
            return vec![json!({"id": id, "subscribe": {}}).to_string()];
        }
        if let Some(channel) = command["publish"]["channel"].as_str() {
            let listeners = channels.entry(channel.to_owned()).or_default();
            push(listeners, channel, "pub", json!({"data": command["publish"]["data"]}));
            return vec![json!({"id": id, "publish": {}}).to_string()];
        }
        assert_eq!(*command, json!({}), "neither a command that is known nor a pong");
        self.pongs.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    }
}

async fn enter(target: &Target, room: &str, user: &str) -> anyhow::Result<Client> {
    let seat = Seat { room, user, features: None, source: None };
    Client::join(target, Peer::Centrifugo, &seat).await
}

/// Waits for what `pick` finds.
async fn until<T>(client: &mut Client, pick: impl Fn(&Client, &str) -> Option<T>) -> T {
    loop {
        let frame = client.receive().await.unwrap();
        if let Some(found) = pick(client, &frame) {
            return found;
        }
    }
}

#[tokio::test]
async fn messages_reach_the_room_and_signals_one_member() {
    let (double, target) = Double::start().await;
    let mut ana = enter(&target, "room", "ana").await.unwrap();
    let mut bo = enter(&target, "room", "bo").await.unwrap();
    let newcomer = until(&mut ana, |client, frame| client.newcomer(frame).map(str::to_owned)).await;
    assert_eq!(newcomer, bo.name());

    bo.send(r#"{"type":"PLAY_PAUSE","currentTime":7.5}"#).await.unwrap();
    for client in [&mut ana, &mut bo] {
        let beat = until(client, |client, frame| {
            assert_eq!(client.newcomer(frame), None, "nobody else has come");
            scan::beat(frame)
        });
        assert_eq!(beat.await, Beat { sequence: 7, version: None });
    }

    let address = ana.address().await.unwrap();
    bo.send_to(&address, r#"{"type":"OFFER","n":3}"#.to_owned()).await.unwrap();
    assert_eq!(until(&mut ana, |_, frame| scan::number(frame, "\"n\":")).await, 3);
    assert!(double.pongs.load(Ordering::Relaxed) > 0, "no ping was answered");
}

#[tokio::test]
async fn who_may_not_subscribe_is_not_in() {
    let (_, target) = Double::start().await;
    let refused = enter(&target, "locked", "ana").await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}
