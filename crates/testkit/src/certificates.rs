use std::{path::Path, process::Command};

/// An authority, and a key and a certificate for `localhost` by it: three PEM files.
#[derive(Debug)]
pub struct Certificates {
    pub ca: String,
    pub key: String,
    pub certificate: String,
}

impl Certificates {
    /// For `localhost` and its address.
    pub fn make(dir: &Path) -> Self {
        Self::of_names(dir, "DNS:localhost,IP:127.0.0.1")
    }

    /// For these names, as openssl writes them.
    pub fn of_names(dir: &Path, names: &str) -> Self {
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let openssl = |words: &str| openssl(dir, words);
        openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=authority");
        openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
        std::fs::write(dir.join("extensions"), format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n")).unwrap();
        sign(dir, 2);
        Self { ca: path("ca.pem"), key: path("key.pem"), certificate: path("certificate.pem") }
    }

    /// Another certificate in place of the one in this folder, which has expired.
    pub fn expire(dir: &Path) {
        sign(dir, 0);
    }

    /// The settings of Redis and its Sentinels for TLS on this port, also between each other.
    pub fn settings(&self, port: u16) -> Vec<(&'static str, String)> {
        vec![
            ("tls-port", port.to_string()),
            ("tls-cert-file", self.certificate.clone()),
            ("tls-key-file", self.key.clone()),
            ("tls-ca-cert-file", self.ca.clone()),
            ("tls-auth-clients", "no".to_owned()),
            ("tls-replication", "yes".to_owned()),
        ]
    }
}

fn openssl(dir: &Path, words: &str) {
    let made = Command::new("openssl").args(words.split(' ')).current_dir(dir).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn sign(dir: &Path, days: u32) {
    let paths = "-in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out certificate.pem";
    openssl(dir, &format!("x509 -req -days {days} {paths}"));
}
