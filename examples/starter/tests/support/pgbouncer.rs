//! A private PgBouncer in front of a private PostgreSQL.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::Folder;
use super::postgres::{Postgres, somebody_else};
use super::server::{Server, find, missing};

pub(crate) struct PgBouncer(Server);

// === impl PgBouncer ===

impl PgBouncer {
    /// Starts a pooler with these settings. Returns `None` with a message if there is no PgBouncer.
    pub(crate) async fn start(postgres: &Postgres, settings: &str) -> Option<Self> {
        // On Debian it is not in everybody's path.
        let Some(place) = find(&["pgbouncer"], vec![PathBuf::from("/usr/sbin")]) else {
            missing("PgBouncer (pgbouncer)");
            return None;
        };
        let folder = Folder::new("pgbouncer");
        let user = somebody_else(&folder);
        let mut server = Server::new(folder, "KILL", user);
        let file = |name: &str, text: &str| {
            let path = server.folder().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let users = file("users.txt", "\"postgres\" \"\"\n");
        let config = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = trust\n\
             auth_file = {users}\n\
             {settings}\n",
            postgres.port(),
            server.port,
        );
        let config = file("pgbouncer.ini", &config);
        server.runs(place.join("pgbouncer"), &[&config]);
        server.launch();
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", server.port))
            .await
            .is_err()
        {
            let log = server.log();
            assert!(Instant::now() < deadline, "no PgBouncer: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(Self(server))
    }

    /// Returns the URL of a database behind the pooler.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.0.port)
    }
}
