//! A headless Chromium that is told what to do by WebDriver, and ends with the test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use axum::http::Method;
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::time::interval;
use url::{ParseError, Url};

/// How long anything may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether the page has changed, of which nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often a driver is started.
const STARTS_MAX: usize = 5;

/// Chromium's own sandbox refuses to run as root, which the tests may be; it is shown our own page alone.
const ARGUMENTS: &[&str] = &["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];

pub struct Browser {
    pub page: Client,
    _driver: Driver,
}

/// `chromedriver` and all that it has started.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Browser {
    /// A window of this size.
    pub async fn open(width: u32, height: u32) -> Browser {
        let (driver, port) = start_driver();
        let mut wanted = Capabilities::new();
        wanted.insert("goog:chromeOptions".to_owned(), json!({ "args": ARGUMENTS }));
        wanted.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let page = builder.capabilities(wanted).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        let browser = Browser { page, _driver: driver };
        browser.resize(width, height).await;
        browser
    }

    /// What is shown has this size, also where a window cannot be so narrow.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.developer("Emulation.setDeviceMetricsOverride", size).await;
    }

    pub async fn prefer(&self, colours: &str) {
        let wanted = json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
        self.developer("Emulation.setEmulatedMedia", wanted).await;
    }

    async fn developer(&self, name: &str, parameters: Value) -> Value {
        let command = Own("goog/cdp/execute", json!({ "cmd": name, "params": parameters }));
        self.page.issue_cmd(command).await.unwrap()
    }

    /// What the page has complained about, in the browser's console.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.page.issue_cmd(Own("se/log", json!({ "type": "browser" }))).await.unwrap();
        let entries = log.as_array().unwrap().iter();
        entries.filter(|entry| entry["level"] != "INFO").map(Value::to_string).collect()
    }

    pub async fn find(&self, css: &str) -> Element {
        self.page.wait().at_most(TIME_MAX).for_element(Locator::Css(css)).await.unwrap()
    }

    /// Types into a field, and presses Enter.
    pub async fn fill(&self, css: &str, text: &str) {
        self.find(css).await.send_keys(&format!("{text}\u{e007}")).await.unwrap();
    }

    /// What an expression in JavaScript says.
    pub async fn value(&self, expression: &str) -> Value {
        self.page.execute(&format!("return {expression};"), Vec::new()).await.unwrap()
    }

    /// How long it takes until an expression in JavaScript holds.
    pub async fn wait(&self, expression: &str) -> Duration {
        let since = Instant::now();
        let mut looks = interval(LOOK_EVERY);
        while self.value(expression).await != json!(true) {
            if TIME_MAX < since.elapsed() {
                let text = self.find("body").await.text().await.unwrap();
                panic!("not within {TIME_MAX:?}: {expression}\nthe page says:\n{text}");
            }
            looks.tick().await;
        }
        since.elapsed()
    }

    pub async fn close(self) {
        self.page.close().await.unwrap();
    }
}

/// A driver, and at which port it listens.
///
/// It takes a port that is free for IPv4, and ends if that is taken for IPv6: then another one is started.
fn start_driver() -> (Driver, u16) {
    let mut told = String::new();
    for _ in 0..STARTS_MAX {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.process_group(0).spawn();
        let child = child.expect("chromedriver starts; on Debian: apt-get install chromium chromium-driver");
        let mut driver = Driver(child);
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(driver.0.stdout.take().unwrap());
        // All is read to the end, so that it never waits for a reader.
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        while let Ok(line) = lines.recv_timeout(TIME_MAX) {
            let port = line.split("started successfully on port ").nth(1);
            if let Some(port) = port.and_then(|port| port.trim_end_matches('.').parse().ok()) {
                return (driver, port);
            }
            told += &(line + "\n");
        }
        assert!(told.contains("port not available"), "chromedriver tells no port: {told}");
    }
    panic!("chromedriver finds no port: {told}");
}

/// A command that Chromium has beyond the standard, and what it is given.
#[derive(Debug)]
struct Own(&'static str, Value);

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}
