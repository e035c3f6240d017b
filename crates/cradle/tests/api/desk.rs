//! A box whose operator API answers, and who asks it.

use crate::common::{Box_, text};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A box whose API answers until this is dropped.
pub struct Desk {
    pub b: Box_,
    process: Option<Child>,
    /// What it said when it listened.
    pub said: Value,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Answer {
    /// A field of the head.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// A problem with this status and code.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        assert_eq!(self.body["status"], status);
        self.body
    }
}

impl Desk {
    /// An installation in which devices SN1 to SN3 are expected, in the mode certificate-management, with `cradle api`.
    pub fn new(name: &str) -> Self {
        let b = Box_::new(name);
        b.write("devices.csv", "serial,type\nSN1,sensor\nSN2,sensor\nSN3,sensor\n");
        b.ok(&["list", "import", "devices.csv"]);
        b.ok(&["mode", "set", "certificate-management"]);
        Self::of(b, &["api"])
    }

    /// A box in which this command makes the API answer.
    pub fn of(b: Box_, command: &[&str]) -> Self {
        let mut desk = Self { b, process: None, said: Value::Null };
        desk.start(command);
        desk
    }

    pub fn start(&mut self, command: &[&str]) {
        self.stop();
        let mut child = self
            .b
            .command(&[command, &["-o", "json"]].concat())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.b.dir.join("api.log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.process = Some(child);
        self.said = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}", self.log()));
    }

    /// Ends it as an operator does, and waits for its end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _gone = Command::new("kill").arg(child.id().to_string()).status();
            child.wait().unwrap();
        }
    }

    pub fn log(&self) -> String {
        text(&self.b.read("api.log"))
    }

    /// Asks with curl, in the data directory. `before` runs it, if anything does.
    pub fn curl(&self, before: &[&str], arguments: &[&str]) -> Answer {
        let words = [before, &["curl", "--silent", "--show-error", "--include"], arguments].concat();
        let output = Command::new(words[0]).args(&words[1..]).current_dir(self.b.data()).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{words:?}: {err}\n{}", self.log());
        let (head, body) = out.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    /// Asks at the socket.
    pub fn ask(&self, arguments: &[&str], path: &str) -> Answer {
        let url = format!("http://localhost{path}");
        self.curl(&[], &[&["--unix-socket", "api.sock"], arguments, &[&url]].concat())
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&[], path)
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(&["--header", "Content-Type: application/json", "--data-binary", body], path)
    }

    /// The same with an idempotency key.
    pub fn post_once(&self, key: &str, path: &str, body: &str) -> Answer {
        let key = format!("Idempotency-Key: {key}");
        self.ask(&["--header", "Content-Type: application/json", "--header", &key, "--data-binary", body], path)
    }

    /// All rows of a list, page by page.
    pub fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut query = format!("{path}{sign}limit={limit}");
        let mut rows = Vec::new();
        loop {
            let page = self.get(&query).is(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit, "{page}");
            rows.extend(items.iter().cloned());
            let Some(next) = page["next"].as_str() else { return rows };
            query = format!("{path}{sign}limit={limit}&cursor={next}");
        }
    }

    /// How often the audit log tells of something.
    pub fn told_of(&self, event: &str) -> usize {
        let entries = self.b.json(&["audit", "list"]);
        entries.as_array().unwrap().iter().filter(|entry| entry["event"].get(event).is_some()).count()
    }

    /// The serial number of a certificate of an operator who was just made.
    pub fn certificate(&self, operator: &str) -> String {
        self.b.ok(&["operator", "add", operator]);
        let rows = self.b.json(&["cert", "list", "--subject", &format!("operator:{operator}")]);
        rows[0]["serial"].as_str().unwrap().to_owned()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(child) = &mut self.process {
            let _gone = child.kill();
            let _ended = child.wait();
        }
    }
}
