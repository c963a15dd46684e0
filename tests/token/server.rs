//! A small HTTP server whose answers a test chooses.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tandem_testkit::certificates::Certificates;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    time::{Duration, sleep},
};
use tokio_rustls::TlsAcceptor;

/// What it answers.
#[derive(Clone)]
pub enum Answer {
    /// This text, with this `Cache-Control`.
    Text(String, &'static str),
    /// The head, and then nothing.
    Silence,
    /// Letters without end.
    Endless,
    /// A redirection to here, with this text.
    Redirect(String, String),
    /// This status, with this text.
    Status(&'static str, String),
    /// A body that ends too early.
    Cut(String),
    /// Nothing: the connection is closed.
    Close,
}

pub struct Server {
    pub address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    pub async fn start(answer: Answer) -> Self {
        Self::with(answer, None).await
    }

    /// Over TLS.
    pub async fn start_tls(answer: Answer, certificates: &Certificates) -> Self {
        let chain = CertificateDer::pem_file_iter(&certificates.certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&certificates.key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::with(answer, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn with(answer: Answer, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let requests = Arc::new(AtomicUsize::new(0));
        let (chosen, count) = (Arc::clone(&answer), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = chosen.lock().unwrap().clone();
                match tls.clone() {
                    None => drop(tokio::spawn(serve(stream, answer))),
                    Some(tls) => drop(tokio::spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, answer).await;
                        }
                    })),
                }
            }
        });
        Self { address, answer, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    assert!(request.starts_with(b"GET /jwks HTTP/1.1\r\n"), "{}", String::from_utf8_lossy(&request));
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}\r\n");
    let text = match answer {
        Answer::Text(body, cache) => {
            head("200 OK", &format!("Content-Length: {}\r\nCache-Control: {cache}\r\n", body.len())) + &body
        }
        Answer::Cut(body) => head("200 OK", "Content-Length: 100000\r\n") + &body,
        Answer::Redirect(to, body) => {
            head("302 Found", &format!("Location: {to}\r\nContent-Length: {}\r\n", body.len())) + &body
        }
        Answer::Status(status, body) => head(status, &format!("Content-Length: {}\r\n", body.len())) + &body,
        Answer::Close => return,
        Answer::Silence => {
            let _ = stream.write_all(head("200 OK", "Content-Length: 10\r\n").as_bytes()).await;
            sleep(Duration::from_mins(10)).await;
            return;
        }
        Answer::Endless => {
            let _ = stream.write_all(head("200 OK", "").as_bytes()).await;
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
