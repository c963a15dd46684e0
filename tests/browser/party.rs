use tokio::sync::{Mutex, MutexGuard};

use crate::{chromium::Chromium, page::Page, server::Server};

/// Two browsers and two cameras are plenty for a small machine: one party at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) const PIN: &str = "246810";

/// A server and the house rules; browsers come as guests.
pub(crate) struct Party {
    pub(crate) server: Server,
    _turn: MutexGuard<'static, ()>,
}

impl Party {
    pub(crate) async fn new(env: &[(&'static str, &'static str)]) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        Self { server: Server::start(env), _turn: turn }
    }

    /// A browser that starts a room.
    pub(crate) async fn host(&self, name: &str, room: &str) -> Guest {
        self.host_at(&self.server.url(), name, room).await
    }

    pub(crate) async fn host_at(&self, url: &str, name: &str, room: &str) -> Guest {
        let guest = Guest::at(url, name).await;
        guest.page.fill("create-room-input", room).await;
        guest.page.fill("create-pin-input", PIN).await;
        guest.page.click("create-button").await;
        guest.page.until("the host is in its room", "tandem.state() === 'live' && tandem.roster().length === 1").await;
        guest
    }

    /// A browser that follows an invitation.
    pub(crate) async fn guest(&self, name: &str, link: &str) -> Guest {
        let guest = Guest::at(link, name).await;
        guest.page.click("join-button").await;
        guest.page.until("the guest is in the room", "tandem.state() === 'live' && tandem.roster().length > 0").await;
        guest
    }

    /// Ana, who is the host, and Bo, who came by her link.
    pub(crate) async fn two(&self, room: &str) -> (Guest, Guest) {
        let ana = self.host("Ana", room).await;
        let bo = self.guest("Bo", &ana.invitation().await).await;
        ana.sees(&["Ana", "Bo"]).await;
        bo.sees(&["Ana", "Bo"]).await;
        (ana, bo)
    }
}

/// One person: a browser of their own, and the page in it.
pub(crate) struct Guest {
    pub(crate) page: Page,
    pub(crate) browser: Chromium,
}

impl Guest {
    /// At the door, name said.
    pub(crate) async fn at(url: &str, name: &str) -> Self {
        let browser = Chromium::launch().await;
        let page = browser.page(url).await;
        page.until_visible("landing").await;
        page.fill("name-input", name).await;
        Self { page, browser }
    }

    pub(crate) async fn user_id(&self) -> String {
        self.page.eval("tandem.userId()").await.as_str().unwrap().to_owned()
    }

    /// The link as the page shows it, once it has its short form.
    pub(crate) async fn invitation(&self) -> String {
        let link = "(() => { const link = document.querySelector('[data-testid=\"invite-link\"]'); return link.dataset.ready ? link.value : false; })()";
        self.page.until("the page shows its invitation link", link).await.as_str().unwrap().to_owned()
    }

    /// The names in the roster that people see, in its order, all of them present.
    pub(crate) async fn sees(&self, names: &[&str]) {
        let wanted = serde_json::to_string(names).unwrap();
        let rows = format!(
            "(() => {{
                const rows = [...document.querySelectorAll('[data-testid=\"member\"]')];
                const names = rows.map((row) => row.querySelector('[data-testid=\"member-name\"]').textContent);
                return JSON.stringify(names) === '{wanted}' && rows.every((row) => row.dataset.state === 'present');
            }})()"
        );
        self.page.until(&format!("the roster shows {wanted}"), &rows).await;
    }

    /// Exactly one row wears the crown: this one's.
    pub(crate) async fn sees_host(&self, name: &str) {
        let crowned = format!(
            "(() => {{
                const rows = [...document.querySelectorAll('[data-testid=\"member\"]')];
                const crowned = rows.filter((row) => row.dataset.host === 'true' && row.querySelector('.member-crown').checkVisibility());
                return crowned.length === 1 && crowned[0].querySelector('[data-testid=\"member-name\"]').textContent === '{name}';
            }})()"
        );
        self.page.until(&format!("{name} has the crown, and nobody else"), &crowned).await;
    }

    /// Nothing was thrown, and the page needs nothing that the server's policy forbids.
    pub(crate) fn assert_content(&self) {
        let complaints = self.page.complaints();
        assert!(complaints.is_empty(), "the page complained: {complaints:#?}");
    }
}
