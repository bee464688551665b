//! 64 rotations of one token, from four processes at once. This test binary runs itself.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tokio::task::JoinSet;
use tower_jwt_auth::sessions::{Converged, Rotation, RotationOutcome as Outcome, SessionStore};

use crate::support::session;

const PROCESSES: usize = 4;
const ROTATIONS: usize = 16;
const VARIABLE: &str = "TOWER_JWT_AUTH_ROTATE_IN";

/// Tells another process where the store is.
pub enum Place {
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(PathBuf),
}

/// Opens a session in the store, rotates it in the processes, and counts the results.
pub async fn rotate_in_all(store: &impl SessionStore, place: &Place) {
    let record = session("shared", "alice");
    store.create(&record, None).await.unwrap();
    let place = match place {
        #[cfg(feature = "sqlite")]
        Place::Sqlite(file) => format!("sqlite {}", file.display()),
        #[cfg(feature = "postgres")]
        Place::Postgres(socket) => format!("postgres {}", socket.display()),
    };
    let place = format!("{} {place}", record.created_at + 1);

    let mut workers: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut worker = Command::new(env::current_exe().unwrap());
            worker.args(["--exact", "processes::rotate_as_a_worker", "--nocapture"]);
            worker.env(VARIABLE, &place).stdin(Stdio::piped());
            let mut worker = worker.stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(worker.stdout.take().unwrap()).lines();
            (worker, lines.map(Result::unwrap))
        })
        .collect();
    for (_, lines) in &mut workers {
        assert!(lines.any(|line| line == "READY"), "a worker did not start");
    }
    for (worker, _) in &mut workers {
        worker.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let (mut outcomes, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    for (mut worker, lines) in workers {
        for line in lines {
            if let Some(("RESULT", rest)) = line.split_once(' ') {
                let (outcome, token) = rest.split_once(' ').unwrap();
                *outcomes.entry(outcome.to_owned()).or_insert(0) += 1;
                *tokens.entry(token.to_owned()).or_insert(0) += 1;
            }
        }
        assert!(worker.wait().unwrap().success());
    }
    let expected = [("converged".to_owned(), 63), ("rotated".to_owned(), 1)];
    assert_eq!(outcomes, BTreeMap::from(expected));
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    let listed = store.list("alice", record.created_at).await.unwrap();
    assert_eq!(listed[0].generation, 1);
    assert!(tokens.contains_key(&listed[0].token_id));
}

/// Does nothing unless [`rotate_in_all`] runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotate_as_a_worker() {
    let Ok(place) = env::var(VARIABLE) else {
        return;
    };
    let [now, kind, place] = place.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{place}")
    };
    let now = now.parse().unwrap();
    match kind {
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            use std::time::Duration;
            use tower_jwt_auth::sessions::SqliteSessions;
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(place)
                .busy_timeout(Duration::from_secs(20));
            rotate(SqliteSessions::new(crate::sqlite::pool(options).await), now).await;
        }
        #[cfg(feature = "postgres")]
        "postgres" => {
            use tower_jwt_auth::sessions::PostgresSessions;
            let options = crate::support::postgres::options(place.as_ref());
            let pool = crate::support::postgres::pool(options, 8).await;
            rotate(PostgresSessions::new(pool), now).await;
        }
        other => panic!("{other}"),
    }
}

async fn rotate<S: SessionStore + Clone>(store: S, now: u64) {
    // All are connected and have prepared the statement before they begin.
    let unknown = Rotation::new("nobody", 0, "none", now);
    assert_eq!(store.rotate(&unknown).await.unwrap(), None);
    println!("\nREADY");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let mut running: JoinSet<_> = (0..ROTATIONS)
        .map(|number| {
            let store = store.clone();
            let token = format!("{}.{number}", std::process::id());
            async move {
                let rotation = Rotation::new("shared", 0, token, now);
                let after = store.rotate(&rotation).await.unwrap();
                (rotation.outcome(after.as_ref()), after.unwrap().token_id)
            }
        })
        .collect();
    while let Some(done) = running.join_next().await {
        let (outcome, token) = done.unwrap();
        let outcome = match outcome {
            Outcome::Rotated { rewound: false } => "rotated".to_owned(),
            Outcome::Converged(Converged::Concurrent) => "converged".to_owned(),
            other => format!("{other:?}").replace(' ', ""),
        };
        println!("RESULT {outcome} {token}");
    }
}
