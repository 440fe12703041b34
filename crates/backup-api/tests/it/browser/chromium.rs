//! Chromium without a window, asked by its own protocol over two pipes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Waits are conditions; this only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) struct Chromium {
    process: Child,
    to: File,
    heard: Receiver<Value>,
    session: String,
    asked: u64,
    complaints: VecDeque<String>,
    _folder: tempfile::TempDir,
}

impl Chromium {
    /// Starts one; nothing, and a line on standard error, where there is none.
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    pub(super) fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| {
            std::env::split_paths(&path).map(|f| f.join(name)).find(|program| program.is_file())
        });
        let Some(program) = found else {
            eprintln!("skipped: no Chromium on the path");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("browser-").tempdir().unwrap();
        let pipes = ["in", "out"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        // The shell opens what the browser reads from and writes to: its descriptors 3 and 4.
        let profile = folder.path().join("profile");
        let process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<\"$0/in\" 4>\"$0/out\""])
            .arg(folder.path())
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--remote-debugging-pipe", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = File::options().write(true).open(&pipes[0]).unwrap();
        let from = BufReader::new(File::open(&pipes[1]).unwrap());
        let (sender, heard) = channel();
        std::thread::spawn(move || {
            for message in from.split(0).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_slice(&message).unwrap_or_default());
            }
        });
        let mut browser = Self {
            process,
            to,
            heard,
            session: String::new(),
            asked: 0,
            complaints: VecDeque::new(),
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attached);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.try_call(method, parameters);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn try_call(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method});
        question["params"] = parameters;
        if !self.session.is_empty() {
            question["sessionId"] = json!(self.session);
        }
        let mut bytes = question.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let message = self.heard.recv_timeout(PATIENCE).unwrap();
            if message["id"] == self.asked {
                return message;
            }
            self.note(&message);
        }
    }

    /// Notes what a person would see in the console.
    fn note(&mut self, message: &Value) {
        let about = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Log.entryAdded") if about["entry"]["level"] == "error" => &about["entry"],
            Some("Runtime.exceptionThrown") => &about["exceptionDetails"],
            _ => return,
        };
        self.complaints.push_back(complaint.to_string());
    }

    /// Returns what the console has complained of.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.complaints.iter().cloned().collect()
    }

    /// Looks as wide as that, in light or dark.
    pub(super) fn face(&mut self, width: u32, dark: bool) {
        let mobile = width < 600;
        let height = if mobile { 844 } else { 900 };
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Lets pages run scripts, or not.
    pub(super) fn scripts(&mut self, run: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !run}));
    }

    /// Opens a page and waits until it is there.
    pub(super) fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        let there = format!("document.readyState === 'complete' && location.href === '{url}'");
        self.wait(&there);
    }

    /// Does what leads to another page, and waits until that is there.
    pub(super) fn leave(&mut self, doing: &str) {
        self.ask("window.before = true");
        self.ask(doing);
        self.wait("document.readyState === 'complete' && window.before === undefined");
    }

    /// Returns the value of an expression.
    pub(super) fn ask(&mut self, expression: &str) -> Value {
        let question = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", question);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(super) fn wait(&mut self, condition: &str) {
        let begun = Instant::now();
        loop {
            // Between two pages there is nothing to ask.
            let question = json!({"expression": condition, "returnByValue": true});
            let answer = self.try_call("Runtime.evaluate", question);
            if answer["result"]["result"]["value"] == true {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {condition}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses the key that leads to the next element.
    pub(super) fn press_tab(&mut self) {
        for kind in ["keyDown", "keyUp"] {
            let key =
                json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            self.call("Input.dispatchKeyEvent", key);
        }
    }

    /// Keeps a picture of the whole page, where pictures are wanted.
    pub(super) fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("BACKUP_SCREENSHOTS") else { return };
        let shot = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.call("Page.captureScreenshot", shot);
        let bytes = data_encoding::BASE64.decode(shot["data"].as_str().unwrap().as_bytes());
        let path = PathBuf::from(folder).join(format!("{name}.png"));
        std::fs::write(path, bytes.unwrap()).unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
