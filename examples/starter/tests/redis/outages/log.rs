//! [`Log`]: what the program logs, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::visitors::PATIENCE;

/// The lines of a log in JSON.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Value>>>);

// === impl Log ===

impl Log {
    /// Reads the lines as they come.
    pub(super) fn read(output: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lines.0.lock().unwrap().push(line);
            }
        });
        log
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Returns the lines from this number on.
    fn since(&self, start: usize) -> Vec<Value> {
        self.0.lock().unwrap()[start..].to_vec()
    }

    /// Returns what the log says about the request with this id, up to its response.
    pub(super) async fn about(&self, id: &str) -> Vec<String> {
        let lines = self.wait(0, |lines| {
            let mut about: Vec<_> = lines
                .into_iter()
                .filter(|line| line["span"]["id"] == id)
                .collect();
            let end = about
                .iter()
                .position(|line| line["message"] == "answered")?;
            about.truncate(end);
            Some(about)
        });
        let mut said = Vec::new();
        for line in lines.await {
            let text = told(&line);
            if is_worth_telling(&line) && !said.contains(&text) {
                said.push(text);
            }
        }
        said
    }

    /// Returns how many lines from this one on have this message.
    pub(super) fn count(&self, start: usize, message: &str) -> usize {
        let lines = self.since(start);
        lines
            .iter()
            .filter(|line| line["message"] == message)
            .count()
    }

    async fn wait<T>(&self, start: usize, found: impl Fn(Vec<Value>) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found(self.since(start)) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{:#?}", self.since(start));
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Checks that no line tells of a fault of the program.
    pub(super) fn assert_no_fault(&self) {
        for line in self.since(0) {
            // A message is logged as an error if the operator can do something about it.
            let is_error = line["level"] == "ERROR" && line["message"] != "message not sent yet";
            assert!(!is_error && line.is_object(), "{line:#}");
        }
    }
}

/// Returns whether a line is a warning or an event of the service, as opposed to one that each request causes, and
/// to one about a slow statement, which a busy machine causes.
fn is_worth_telling(line: &Value) -> bool {
    let target = line["target"].as_str().unwrap_or_default();
    let is_own = target.starts_with("service") || target.starts_with("tower_jwt_auth");
    is_own && (line["level"] != "INFO" || line["event"].is_string())
}

/// Returns the event and the reason, or else the message without its details.
fn told(line: &Value) -> String {
    let field = |name: &str| line[name].as_str();
    let what = field("event").or(field("message")).unwrap_or_default();
    let details = [": ", "; ", ", because "];
    let end = details.iter().filter_map(|detail| what.find(detail)).min();
    let what = &what[..end.unwrap_or(what.len())];
    match field("reason").or(field("name")) {
        Some(which) => format!("{what} ({which})"),
        None => what.to_owned(),
    }
}
