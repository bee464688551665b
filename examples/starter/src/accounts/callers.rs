//! [`Callers`]: reads the users of requests that are under way at the same time with one query.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::users::{User, select_user};
use crate::database::Database;
use crate::problem::Problem;

/// How many users one query reads at most.
const MAX_TOGETHER: usize = 256;
/// How long a query may take before the requests that wait for it are answered with 503.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads users for requests with an access token, each of which needs one.
///
/// A query of its own for each request costs more than everything else that such a request does: it takes a
/// connection of the pool and gives it back. So only one query runs at a time, and the requests that come
/// meanwhile share the next one. A user is always read after the request came in, never from a cache.
///
/// Clones share the queries.
#[derive(Clone)]
pub(super) struct Callers {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Whether a task reads users, and will read those that wait.
    is_reading: bool,
}

struct Waiting {
    id: String,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Option<User>, Problem>;

// === impl Callers ===

impl Callers {
    pub(super) fn new(database: Database) -> Self {
        let state = Mutex::default();
        Self {
            inner: Arc::new(Inner { database, state }),
        }
    }

    /// Returns the user with this id, or `None` if there is none, or the user is disabled.
    pub(super) async fn read(&self, id: &str) -> Answer {
        let (answer, answered) = oneshot::channel();
        let id = id.to_owned();
        let starts = {
            let mut state = self.inner.state();
            state.waiting.push(Waiting { id, answer });
            !mem::replace(&mut state.is_reading, true)
        };
        if starts {
            // A task, because the request that starts it may be dropped while others wait for the answer.
            let inner = Arc::clone(&self.inner);
            let is_over = false;
            tokio::spawn(Reading { inner, is_over }.run());
        }
        // The sender is dropped only if the task has panicked.
        answered.await.unwrap_or_else(|_| Err(out_of_time()))
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn query(&self, ids: Vec<&str>) -> sqlx::Result<Vec<User>> {
        match &self.database {
            Database::Sqlite(pool) => {
                let query =
                    select_user!("NOT disabled AND id IN (SELECT value FROM json_each($1))");
                let ids = serde_json::Value::from(ids).to_string();
                sqlx::query_as(query).bind(ids).fetch_all(pool).await
            }
            // chapter: postgres {
            Database::Postgres(pool) => {
                let query = select_user!("NOT disabled AND id = ANY($1)");
                sqlx::query_as(query).bind(ids).fetch_all(pool).await
            } // chapter: postgres }
        }
    }
}

/// The task that reads.
struct Reading {
    inner: Arc<Inner>,
    is_over: bool,
}

// === impl Reading ===

impl Reading {
    async fn run(mut self) {
        while let Some(together) = self.next() {
            let ids = together.iter().map(|waiting| &*waiting.id).collect();
            let result = match timeout(QUERY_TIMEOUT, self.inner.query(ids)).await {
                Ok(result) => result.map_err(Problem::from),
                Err(_) => Err(out_of_time()),
            };
            match result {
                Ok(users) => answer(together, users),
                Err(problem) => self.refuse(together, &problem),
            }
        }
    }

    /// Takes those who wait. If nobody does, the task is over, and the next request starts another one.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut state = self.inner.state();
        let count = state.waiting.len().min(MAX_TOGETHER);
        self.is_over = count == 0;
        state.is_reading = count > 0;
        (count > 0).then(|| state.waiting.drain(..count).collect())
    }

    /// Refuses everyone who waits, so that nobody waits for an unavailable database twice.
    fn refuse(&self, mut together: Vec<Waiting>, problem: &Problem) {
        together.append(&mut self.inner.state().waiting);
        for waiting in together {
            let _ = waiting.answer.send(Err(problem.clone()));
        }
    }
}

impl Drop for Reading {
    /// After a panic, whoever waits is told by the end of the channel, and the next request starts another task.
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.inner.state();
            state.waiting.clear();
            state.is_reading = false;
        }
    }
}

fn answer(together: Vec<Waiting>, users: Vec<User>) {
    let users: HashMap<String, User> = users
        .into_iter()
        .map(|user| (user.id.clone(), user))
        .collect();
    for Waiting { id, answer } in together {
        // Fails if the request was dropped meanwhile.
        let _ = answer.send(Ok(users.get(&id).cloned()));
    }
}

fn out_of_time() -> Problem {
    tracing::warn!("the database did not respond in time while a user was read");
    Problem::of_status(axum::http::StatusCode::SERVICE_UNAVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::on_pool;
    use crate::database::temporary::Temporary;

    async fn with_users(name: &str) -> Temporary {
        let temporary = Temporary::open(name).await;
        let query = "INSERT INTO users (id, email, password_hash, disabled) VALUES \
                     ('a', 'a@example.com', '!', FALSE), ('b', 'b@example.com', '!', FALSE), \
                     ('gone', 'gone@example.com', '!', TRUE)";
        let added = on_pool!(&temporary.database, pool => {
            sqlx::query(query).execute(pool).await.map(drop)
        });
        added.unwrap();
        temporary
    }

    async fn email(callers: &Callers, id: &str) -> Option<String> {
        callers.read(id).await.unwrap().map(|user| user.email)
    }

    #[tokio::test]
    async fn requests_at_the_same_time_each_get_their_own_user() {
        let temporary = with_users("callers-each").await;
        let callers = Callers::new(temporary.database.clone());
        let ids = ["a", "b", "gone", "unknown", "a"];
        let reads = (0..1000).map(|number| email(&callers, ids[number % ids.len()]));
        let read = futures_util::future::join_all(reads).await;
        for (number, found) in read.into_iter().enumerate() {
            let wanted = match ids[number % ids.len()] {
                id @ ("a" | "b") => Some(format!("{id}@example.com")),
                _ => None,
            };
            assert_eq!(found, wanted, "{number}");
        }
    }

    #[tokio::test]
    async fn a_dropped_request_leaves_the_others_their_answers() {
        let temporary = with_users("callers-dropped").await;
        let callers = Callers::new(temporary.database.clone());
        let mut first = Box::pin(callers.read("a"));
        let mut second = Box::pin(email(&callers, "b"));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(second.await.unwrap(), "b@example.com");
        assert_eq!(email(&callers, "a").await.unwrap(), "a@example.com");
    }

    #[tokio::test]
    async fn an_unavailable_database_refuses_all_that_wait_with_503() {
        let temporary = with_users("callers-outage").await;
        temporary.database.close().await;
        let callers = Callers::new(temporary.database.clone());
        let reads = (0..1000).map(|_| callers.read("a"));
        for answer in futures_util::future::join_all(reads).await {
            let problem = answer.err().expect("the database is closed");
            assert!(problem.is(axum::http::StatusCode::SERVICE_UNAVAILABLE));
        }
        assert!(callers.read("b").await.is_err());
    }
}
