use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{cdp::Cdp, page::Page, process::Group};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const FLAGS: [&str; 17] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // Cameras that show a moving test image, without asking for permission.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    // Host candidates with plain addresses, because nothing here resolves mDNS names.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    // A headless window is never in the foreground, and must not be throttled for that.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--remote-debugging-port=0",
    // The certificate authority of Caddy is made for the test, and not trusted.
    "--ignore-certificate-errors",
];

/// One browser process with a profile of its own, as one person has.
pub(crate) struct Chromium {
    process: Group,
    cdp: Cdp,
    _profile: TempDir,
}

impl Chromium {
    pub(crate) async fn launch() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(find());
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Group::spawn(&mut command).expect("chromium starts");
        let url = devtools(&mut process, profile.path()).await;
        Self { process, cdp: Cdp::connect(&url).await, _profile: profile }
    }

    /// A new tab.
    pub(crate) async fn page(&self, url: &str) -> Page {
        let target = self.cdp.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await.unwrap();
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.cdp.call(None, "Target.attachToTarget", attach).await.unwrap();
        let page = Page::new(self.cdp.clone(), session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Runtime", "Log", "Page"] {
            page.command(&format!("{domain}.enable"), json!({})).await;
        }
        page.size(1280, 800, false).await;
        page.goto(url).await;
        page
    }

    /// Kills the browser without closing connections.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

/// The address of the `DevTools` socket, from the file that Chromium writes when it listens.
async fn devtools(process: &mut Group, profile: &Path) -> String {
    for _ in 0..600 {
        if let Ok(text) = fs::read_to_string(profile.join("DevToolsActivePort"))
            && let Some((port, path)) = text.trim().split_once('\n')
        {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        if let Ok(Some(status)) = process.child().try_wait() {
            panic!("chromium ended before it listened: {status}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("chromium did not open its DevTools port within 30 s");
}

fn find() -> PathBuf {
    if let Some(path) = env::var_os("CHROMIUM") {
        let path = PathBuf::from(path);
        assert!(path.exists(), "CHROMIUM is set to {}, and there is nothing", path.display());
        return path;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = NAMES.iter().flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("these tests drive a real browser: install Chromium (`apt-get install chromium`) or set CHROMIUM to its path")
    })
}
