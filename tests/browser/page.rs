use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cdp::Cdp;

const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(60);

/// One tab.
#[derive(Clone)]
pub(crate) struct Page {
    cdp: Cdp,
    session: String,
}

impl Page {
    pub(crate) fn new(cdp: Cdp, session: String) -> Self {
        Self { cdp, session }
    }

    pub(crate) async fn command(&self, method: &str, params: Value) -> Value {
        self.cdp.call(Some(&self.session), method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.command("Page.navigate", json!({ "url": url })).await;
        self.until("the page has started", "Boolean(window.tandem && tandem.started())").await;
    }

    /// Any page of the server, with or without the program.
    pub(crate) async fn look_at(&self, url: &str) {
        self.command("Page.navigate", json!({ "url": url })).await;
        self.until("the page is there", "document.readyState === 'complete'").await;
    }

    pub(crate) async fn reload(&self) {
        self.command("Page.reload", json!({})).await;
        self.until("the page has started again", "Boolean(window.tandem && tandem.started())").await;
    }

    /// The value of an expression; a promise is awaited.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        self.try_eval(expression).await.unwrap_or_else(|error| panic!("{expression}\n{error}"))
    }

    async fn try_eval(&self, expression: &str) -> Result<Value, String> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.cdp.call(Some(&self.session), "Runtime.evaluate", params).await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details["exception"]["description"].as_str().unwrap_or("an exception").to_owned()),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    pub(crate) async fn text(&self, testid: &str) -> String {
        let value = self.eval(&format!("{}.textContent", one(testid))).await;
        value.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn value(&self, testid: &str) -> String {
        let value = self.eval(&format!("{}.value", one(testid))).await;
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the expression is true, and says what it was waiting for when that never comes.
    pub(crate) async fn until(&self, what: &str, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.try_eval(expression).await;
            match &seen {
                Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                Ok(value) => return value.clone(),
            }
            let late = Instant::now() > deadline;
            assert!(!late, "never came: {what}\n  {expression}\n  last: {seen:?}\n{}", self.report().await);
            tokio::time::sleep(GLANCE).await;
        }
    }

    pub(crate) async fn until_visible(&self, testid: &str) {
        self.until(&format!("{testid} is visible"), &format!("{}.checkVisibility()", one(testid))).await;
    }

    /// A real click of a real mouse: it has to be there, enabled, and not under something else.
    pub(crate) async fn click(&self, testid: &str) {
        self.click_at(&one(testid), 0.5).await;
    }

    /// A click into the element that the expression gives, at a fraction of its width.
    pub(crate) async fn click_at(&self, element: &str, fraction: f64) {
        let expression = format!(
            "(() => {{
                const element = {element};
                if (!element || element.disabled) return false;
                element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = element.getBoundingClientRect();
                const [x, y] = [box.left + box.width * {fraction}, box.top + box.height / 2];
                const top = document.elementFromPoint(x, y);
                return element.contains(top) || top?.contains(element) ? {{ x, y }} : false;
            }})()"
        );
        let point = self.until(&format!("{element} can be clicked"), &expression).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": point["x"], "y": point["y"], "button": "left", "clickCount": 1 });
            self.command("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Types over whatever is in the field.
    pub(crate) async fn fill(&self, testid: &str, text: &str) {
        self.click(testid).await;
        self.eval(&format!("{}.select()", one(testid))).await;
        self.command("Input.insertText", json!({ "text": text })).await;
    }

    pub(crate) async fn press(&self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.command("Input.dispatchKeyEvent", event).await;
        }
    }

    pub(crate) async fn size(&self, width: u32, height: u32, mobile: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    pub(crate) async fn scheme(&self, name: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": name }] });
        self.command("Emulation.setEmulatedMedia", media).await;
    }

    /// As PNG, in base64.
    pub(crate) async fn screenshot(&self) -> String {
        let shot = self.command("Page.captureScreenshot", json!({ "format": "png" })).await;
        shot["data"].as_str().unwrap().to_owned()
    }

    /// Did it print or throw anything bad?
    pub(crate) fn complaints(&self) -> Vec<String> {
        let lines = self.cdp.console(&self.session);
        lines
            .into_iter()
            .filter(|line| line.starts_with("exception") || line.contains("Content Security Policy"))
            .collect()
    }

    async fn report(&self) -> String {
        let state = "JSON.stringify({ at: location.href, state: window.tandem?.state(), roster: window.tandem?.roster(), \
                     host: window.tandem?.host(), drift: window.tandem?.drift(), \
                     toasts: [...document.querySelectorAll('.toast')].map((one) => one.textContent) })";
        let state = self.try_eval(state).await;
        format!("  page: {state:?}\n  console: {:#?}", self.cdp.console(&self.session))
    }
}

/// The element with this `data-testid`, as an expression.
pub(crate) fn one(testid: &str) -> String {
    format!("document.querySelector('[data-testid=\"{testid}\"]')")
}
