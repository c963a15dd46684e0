use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A wire between a browser and the server that can be cut: TCP in, TCP out.
pub(crate) struct Wire {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Wire {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let ends = Arc::clone(&shared);
        thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                if !ends.is_cut.load(Ordering::SeqCst)
                    && let Ok(there) = TcpStream::connect(("127.0.0.1", port))
                {
                    ends.join(&here, &there);
                }
            }
        });
        Self { addr, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Everything on it breaks at once, and nothing new gets through.
    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        for end in self.shared.open.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn join(&self, here: &TcpStream, there: &TcpStream) {
        let mut open = self.open.lock().unwrap();
        for (from, to) in [(here, there), (there, here)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            open.push(from.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }
}
