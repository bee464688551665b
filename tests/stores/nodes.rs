//! Two nodes in two processes, with clocks that differ, and a process that is killed in the middle of a
//! logout. This test binary runs itself.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, SystemTime};

use tower_jwt_auth::clock::{Clock, SystemClock};
use tower_jwt_auth::revocation::SqliteRevocations;
use tower_jwt_auth::sessions::SqliteSessions;
use tower_jwt_auth::{Sessions, SigningKey, TokenIssuer};

use crate::sqlite::{options_for, pool};
use crate::support::Directory;

const VARIABLE: &str = "TOWER_JWT_AUTH_NODE_IN";
const SECRET: &[u8] = b"\x91\x0c\x5a\xe7\x33\xb8\x4d\xf1\x26\xc9\x70\x1e\xa5\x88\x42\xdb\
\x07\xf6\x3b\x94\x6e\xd0\x15\xac\x59\xe3\x80\x2f\xc7\x61\xba\x1d";

/// The clock of the system, shifted by this many seconds.
#[derive(Debug)]
struct Differs(i64);

impl Clock for Differs {
    fn now(&self) -> SystemTime {
        let by = Duration::from_secs(self.0.unsigned_abs());
        match self.0 {
            0.. => SystemClock.now() + by,
            _ => SystemClock.now() - by,
        }
    }
}

async fn open(file: &Path, differs: i64) -> Sessions {
    let pool = pool(options_for(file)).await;
    let revocations = SqliteRevocations::open(pool.clone()).await.unwrap();
    let tokens = TokenIssuer::builder(SigningKey::hs256(SECRET).unwrap())
        .issuer("me")
        .audience("api")
        .clock(Differs(differs))
        .revocation(revocations)
        .build()
        .unwrap();
    let store = SqliteSessions::open(pool).await.unwrap();
    // The machine may be busy: the result is tested, and not the time.
    Sessions::builder(&tokens, store)
        .store_timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

/// Carries out a command, and returns the result as a line.
async fn carry_out(sessions: &Sessions, command: &str) -> String {
    let (command, token) = command.split_once(' ').unwrap_or((command, ""));
    match command {
        "open" => {
            let pair = sessions.open("alice").issue().await.unwrap();
            format!("{} {}", pair.access_token, pair.refresh_token)
        }
        "verify" => match sessions.tokens().verifier().verify(token).await {
            Ok(_) => "good".to_owned(),
            Err(error) => format!("refused {}", error.kind().as_str()),
        },
        "refresh" => {
            let refreshed = async { sessions.refresh(token).await?.issue().await };
            match refreshed.await {
                Ok(_) => "good".to_owned(),
                Err(error) => format!("refused {}", error.code()),
            }
        }
        "end_all" => format!("ended {}", sessions.end_all("alice").await.unwrap()),
        other => panic!("{other}"),
    }
}

/// Does nothing unless a test of this file runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_as_a_node() {
    let Ok(place) = env::var(VARIABLE) else {
        return;
    };
    let (differs, file) = place.split_once(' ').unwrap();
    let sessions = open(file.as_ref(), differs.parse().unwrap()).await;
    println!("\nREADY");
    for command in std::io::stdin().lines() {
        println!("\nRESULT {}", carry_out(&sessions, &command.unwrap()).await);
    }
}

/// A node in another process, which is killed when it is dropped.
struct Node {
    process: Child,
    input: ChildStdin,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Node {
    fn start(file: &Path, differs: i64) -> Self {
        let mut process = Command::new(env::current_exe().unwrap());
        process.args(["--exact", "nodes::serve_as_a_node", "--nocapture"]);
        process.env(VARIABLE, format!("{differs} {}", file.display()));
        let process = process.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = process.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut lines: Box<dyn Iterator<Item = String>> = Box::new(lines.map_while(Result::ok));
        assert!(lines.any(|line| line == "READY"), "the node did not start");
        Self {
            input: process.stdin.take().unwrap(),
            process,
            lines,
        }
    }

    fn send(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        self.input.flush().unwrap();
    }

    fn ask(&mut self, command: &str) -> String {
        self.send(command);
        let results = self
            .lines
            .find_map(|line| line.strip_prefix("RESULT ").map(str::to_owned));
        results.expect("the node has ended")
    }

    fn login(&mut self) -> (String, String) {
        let pair = self.ask("open");
        let (access, refresh) = pair.split_once(' ').unwrap();
        (access.to_owned(), refresh.to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn file(directory: &Directory) -> std::path::PathBuf {
    directory.path().join("sessions.db")
}

#[test]
fn log_out_everywhere_covers_processes_whose_clocks_differ() {
    for differs in [20, -20] {
        let directory = Directory::new("nodes");
        let mut here = Node::start(&file(&directory), 0);
        let mut there = Node::start(&file(&directory), differs);
        let (access, refresh) = there.login();
        assert_eq!(here.ask("end_all"), "ended 1");
        for node in [&mut here, &mut there] {
            let verdict = node.ask(&format!("verify {access}"));
            assert!(verdict.starts_with("refused"), "{differs}: {verdict}");
            let verdict = node.ask(&format!("refresh {refresh}"));
            assert_eq!(verdict, "refused invalid_grant", "{differs}");
        }
        // A login afterwards works on both nodes, wherever it happened.
        let (access, refresh) = there.login();
        for node in [&mut here, &mut there] {
            assert_eq!(node.ask(&format!("verify {access}")), "good", "{differs}");
        }
        assert_eq!(here.ask(&format!("refresh {refresh}")), "good");
    }
}

#[test]
fn repeating_a_logout_completes_one_that_was_killed() {
    for micros in [0, 200, 500, 1_000, 2_000, 4_000, 8_000, 20_000] {
        let directory = Directory::new("nodes");
        let mut killed = Node::start(&file(&directory), 0);
        let pairs: Vec<_> = (0..5).map(|_| killed.login()).collect();
        killed.send("end_all");
        std::thread::sleep(Duration::from_micros(micros)); // anywhere in the middle, or after it
        drop(killed);

        let mut node = Node::start(&file(&directory), 0);
        node.ask("end_all");
        for (access, refresh) in &pairs {
            let verdict = node.ask(&format!("verify {access}"));
            assert!(verdict.starts_with("refused"), "{micros}: {verdict}");
            let verdict = node.ask(&format!("refresh {refresh}"));
            assert_eq!(verdict, "refused invalid_grant", "{micros}");
        }
    }
}
