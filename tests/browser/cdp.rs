use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// Also for a promise that a page never keeps.
const PATIENCE: Duration = Duration::from_secs(30);

type Answer = Result<Value, String>;

/// A `DevTools` connection. The output and the exceptions of pages are kept for failure messages.
#[derive(Clone)]
pub(crate) struct Cdp {
    out: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    console: Mutex<Vec<(String, String)>>,
}

impl Cdp {
    pub(crate) async fn connect(url: &str) -> Self {
        let (socket, _) = connect_async(url).await.expect("the DevTools socket opens");
        let (mut sink, mut stream) = socket.split();
        let (out, mut outbox) = mpsc::unbounded_channel::<Message>();
        let shared = Arc::new(Shared::default());
        tokio::spawn(async move {
            while let Some(message) = outbox.recv().await {
                if sink.send(message).await.is_err() {
                    break;
                }
            }
        });
        let reader = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Message::Text(text) = message {
                    reader.take(&serde_json::from_str(&text).expect("DevTools speaks JSON"));
                }
            }
            // The browser has ended: pending calls fail.
            reader.waiting.lock().unwrap().clear();
        });
        Self { out, shared }
    }

    pub(crate) async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Answer {
        let id = self.shared.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (tell, answer) = oneshot::channel();
        self.shared.waiting.lock().unwrap().insert(id, tell);
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        self.out.send(Message::text(command.to_string())).map_err(|_| "the browser is gone".to_owned())?;
        match timeout(PATIENCE, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err("the browser is gone".to_owned())),
            Err(_) => Err(format!("{method} was not answered within {PATIENCE:?}")),
        }
    }

    /// The output and the exceptions of the page of this session.
    pub(crate) fn console(&self, session: &str) -> Vec<String> {
        let lines = self.shared.console.lock().unwrap();
        lines.iter().filter(|(of, _)| of == session).map(|(_, line)| line.clone()).collect()
    }
}

impl Shared {
    fn take(&self, message: &Value) {
        if let Some(id) = message["id"].as_u64() {
            let Some(tell) = self.waiting.lock().unwrap().remove(&id) else { return };
            let answer =
                message.get("error").map_or_else(|| Ok(message["result"].clone()), |error| Err(error.to_string()));
            let _ = tell.send(answer);
            return;
        }
        let params = &message["params"];
        let line = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                format!("exception: {}", params["exceptionDetails"]["exception"]["description"])
            }
            Some("Runtime.consoleAPICalled") => format!("console.{}: {}", params["type"], params["args"]),
            Some("Log.entryAdded") => format!("log: {}", params["entry"]["text"]),
            _ => return,
        };
        let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
        self.console.lock().unwrap().push((session, line));
    }
}
