//! A mail server (aiosmtpd) with or without TLS, which records how each email arrived.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Folder;
use super::mail_server::PACKAGE;
use super::python::environment;
use super::server::Server;

const PROGRAM: &str = r#"
import itertools, json, os, pathlib, signal, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

port, folder, mode = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]

class Keep:
    count = itertools.count()
    async def handle_DATA(self, server, session, envelope):
        tls = server.transport.get_extra_info("sslcontext") is not None
        kept = {"tls": tls, "user": session.auth_data, "to": envelope.rcpt_tos[0]}
        name = f"{next(self.count):08}.json"
        (folder / ("." + name)).write_text(json.dumps(kept))
        os.rename(folder / ("." + name), folder / name)
        return "250 kept"

def login(server, session, envelope, mechanism, data):
    good = data.login == b"user" and data.password == b"hunter2"
    return AuthResult(success=good, handled=good, auth_data=data.login.decode())

how = {}
if mode != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    how["ssl_context" if mode == "smtps" else "tls_context"] = context
if mode == "starttls":
    how["require_starttls"] = True
if mode == "login":
    how.update(require_starttls=True, auth_required=True, authenticator=login)
Controller(Keep(), hostname="0.0.0.0", port=port, **how).start()
signal.pause()
"#;

/// How the server is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    /// The server has no TLS.
    Plain,
    /// The server requires STARTTLS.
    StartTls,
    /// The server requires STARTTLS, and the user `user` with the password `hunter2`.
    Login,
    /// The server uses TLS from the start.
    Smtps,
}

pub(crate) struct TlsMailServer(Server);

// === impl TlsMailServer ===

impl TlsMailServer {
    /// Starts the server. Returns `None` with a message if it cannot be installed.
    pub(crate) fn start(mode: Mode) -> Option<Self> {
        let python = environment(PACKAGE)?.join("python");
        let folder = Folder::new("smtp-tls");
        let names = ["0.0.0.0".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        fs::write(folder.path().join("key.pem"), key).unwrap();
        let mode = match mode {
            Mode::Plain => "plain",
            Mode::StartTls => "starttls",
            Mode::Login => "login",
            Mode::Smtps => "smtps",
        };
        let place = folder.path().to_str().unwrap().to_owned();
        let mut server = Server::new(folder, "KILL", None);
        let port = server.port.to_string();
        server.runs(python, &["-c", PROGRAM, &port, &place, mode]);
        server.launch();
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", server.port)).is_err() {
            let log = server.log();
            assert!(start.elapsed() < Duration::from_secs(60), "{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self(server))
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// Returns the file of its certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.0.folder().join("certificate.pem")
    }

    /// Returns how each email arrived.
    pub(crate) fn kept(&self) -> Vec<Value> {
        let files = fs::read_dir(self.0.folder()).unwrap().flatten();
        let mut files: Vec<_> = files.map(|file| file.path()).collect();
        files.retain(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.ends_with(".json") && !name.starts_with('.')
        });
        files.sort();
        let texts = files.iter().map(|path| fs::read_to_string(path).unwrap());
        texts
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }
}
