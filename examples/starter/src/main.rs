//! The command line: serves, or runs one of the commands that [`usage`] lists.

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use mimalloc::MiMalloc;
use service::grant_admin; // chapter: admin
use service::publish_keys; // chapter: avatars
use service::serve_metrics; // chapter: metrics
use service::{App, Error, SERVICE, Settings, asked_to_stop, rotate_keys, say, serve, start_log};
use tokio::net::TcpListener;

/// Requests move between threads, and the allocator of the system makes threads wait for each other.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{SERVICE}: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let _log = start_log()?;
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|word| word.to_str()).collect();
    match arguments.as_slice() {
        [] => listen(&Settings::from_env()?).await,
        [Some("grant-admin"), Some(email)] => tell(&grant_admin(email).await?), // chapter: admin
        [Some("rotate-keys")] => tell_keys(false).await,
        [Some("rotate-keys"), Some("--now")] => tell_keys(true).await,
        _ => Err(usage().into()),
    }
}

fn usage() -> String {
    let commands = [
        ("", "serve"),
        // chapter: admin {
        (
            "grant-admin EMAIL",
            "give a registered user the scope `admin`",
        ),
        // chapter: admin }
        ("rotate-keys", "add a key that signs from tomorrow on"),
        (
            "rotate-keys --now",
            "sign with a new key, and refuse what the old keys signed",
        ),
    ];
    let lines = commands.map(|(command, does)| format!("{SERVICE} {command:19} {does}"));
    format!("usage: {}", lines.join("\n       "))
}

async fn listen(settings: &Settings) -> Result<(), Error> {
    let app = App::open(settings).await?;
    let listener = TcpListener::bind(&settings.bind_address)
        .await
        .map_err(|error| {
            let address = &settings.bind_address;
            format!("BIND_ADDR: cannot listen on {address}: {error}")
        })?;
    let address = listener.local_addr()?;
    serve_metrics(&settings.operations.metrics, &app).await?; // chapter: metrics
    let stop = asked_to_stop()?;
    let mut told = format!("listening on http://{address}\n");
    if settings.development {
        told += &first_steps(address);
    }
    // A closed standard output must not stop the service.
    let _ = io::stdout().write_all(told.as_bytes());
    serve(listener, app, stop).await
}

async fn tell_keys(now: bool) -> Result<(), Error> {
    let auth = Settings::auth_from_env()?;
    let storage = Settings::storage_from_env()?; // chapter: avatars
    tell(&rotate_keys(&auth, now)?)?;
    // chapter: avatars {
    // Services that verify tokens should know a key before it signs.
    match publish_keys(&auth, &storage).await {
        Ok(None) => {}
        Ok(Some(path)) => tell(&[format!("published at {path}")])?,
        Err(error) => {
            let later =
                "the keys are rotated, but not published; a running service will publish them";
            return Err(format!("{later}: {error}").into());
        }
    }
    // chapter: avatars }
    Ok(())
}

fn tell(lines: &[String]) -> Result<(), Error> {
    for line in lines {
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}

/// Returns three commands to paste into another shell.
fn first_steps(address: SocketAddr) -> String {
    let host = if address.ip().is_unspecified() {
        format!("127.0.0.1:{}", address.port())
    } else {
        address.to_string()
    };
    let user = r#"{"email":"ada@example.com","password":"correct horse battery staple"}"#;
    let post = format!("-H 'Content-Type: application/json' -d '{user}'");
    let token = r#"sed 's/.*"access_token":"\([^"]*\)".*/\1/'"#;
    format!(
        "
Paste these into another shell: register, log in, ask who you are.

curl -sS http://{host}/auth/register {post}
TOKEN=$(curl -sS http://{host}/auth/login {post} | {token})
curl -sS http://{host}/me -H \"Authorization: Bearer $TOKEN\"

"
    )
}
