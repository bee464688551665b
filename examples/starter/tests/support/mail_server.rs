//! A mail server (aiosmtpd) that writes emails into folders.

use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::Folder;
use super::python::environment;
use super::server::Server;

pub(super) const PACKAGE: &str = "aiosmtpd==1.4.6";
/// The domain of the sender is the name of the folder, so that tests do not see each other's emails.
const PROGRAM: &str = r#"
import itertools, os, pathlib, signal, sys
from aiosmtpd.controller import Controller

class Folders:
    count = itertools.count()
    async def handle_DATA(self, server, session, envelope):
        domain = envelope.mail_from.split("@")[1].removesuffix(".test")
        folder = pathlib.Path(sys.argv[2]) / domain / "mail"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{next(self.count):08}.eml"
        (folder / ("." + name)).write_bytes(envelope.content)
        os.rename(folder / ("." + name), folder / name)
        return "250 kept"

Controller(Folders(), hostname="127.0.0.1", port=int(sys.argv[1])).start()
signal.pause()
"#;

pub(crate) struct MailServer(Server);

/// Returns the server that all tests of this binary share, or `None` with a message if it cannot be
/// installed.
pub(crate) fn shared() -> Option<&'static MailServer> {
    static SHARED: OnceLock<Option<MailServer>> = OnceLock::new();
    SHARED.get_or_init(MailServer::start).as_ref()
}

// === impl MailServer ===

impl MailServer {
    fn start() -> Option<Self> {
        let python = environment(PACKAGE)?.join("python");
        let mut server = Server::new(Folder::new("smtp"), "KILL", None);
        let (port, folders) = (server.port.to_string(), std::env::temp_dir());
        let folders = folders.to_str().unwrap();
        server.runs(python, &["-c", PROGRAM, &port, folders]);
        server.launch();
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", server.port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{}",
                server.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self(server))
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.0.port)
    }
}
