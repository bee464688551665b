//! The command line: serve, give a user the scope `admin`, or rotate the keys.

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use service::{
    ADMIN_SCOPE, App, Database, Email, Error, MetricsPlace, SERVICE, Settings, Users,
    asked_to_stop, publish_keys, rotate_keys, say, serve, serve_metrics, start_log,
};
use tokio::net::TcpListener;

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
        [Some("grant-admin"), Some(email)] => grant_admin(email).await,
        [Some("rotate-keys")] => tell_keys(false).await,
        [Some("rotate-keys"), Some("--now")] => tell_keys(true).await,
        _ => Err(usage().into()),
    }
}

fn usage() -> String {
    format!(
        "usage: {SERVICE}                     serve
       {SERVICE} grant-admin EMAIL   give a registered user the scope `admin`
       {SERVICE} rotate-keys         add a key that signs from tomorrow on
       {SERVICE} rotate-keys --now   sign with a new key, and refuse what the old ones signed"
    )
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
    if let MetricsPlace::At(address) = &settings.operations.metrics {
        listen_for_metrics(address, app.clone()).await?;
    }
    let stop = asked_to_stop()?;
    let mut told = format!("listening on http://{address}\n");
    if settings.development {
        told += &first_steps(address);
    }
    // Whether anybody reads it or not.
    let _ = io::stdout().write_all(told.as_bytes());
    serve(listener, app, stop).await
}

/// The metrics are served as long as the program runs, so that its end is seen too.
async fn listen_for_metrics(address: &str, app: App) -> Result<(), Error> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("METRICS_ADDR: cannot listen on {address}: {error}"))?;
    tracing::info!(address = %listener.local_addr()?, "metrics");
    tokio::spawn(async move { serve_metrics(listener, &app).await });
    Ok(())
}

async fn tell_keys(now: bool) -> Result<(), Error> {
    let (auth, storage) = (Settings::auth_from_env()?, Settings::storage_from_env()?);
    for line in rotate_keys(&auth, now)? {
        writeln!(io::stdout(), "{line}")?;
    }
    // Whoever verifies should know a key before it signs.
    match publish_keys(&auth, &storage).await {
        Ok(None) => Ok(()),
        Ok(Some(path)) => {
            writeln!(io::stdout(), "published at {path}")?;
            Ok(())
        }
        Err(error) => {
            let later = "the keys are rotated, but not published; a running service will do so";
            Err(format!("{later}: {error}").into())
        }
    }
}

async fn grant_admin(email: &str) -> Result<(), Error> {
    let email = Email::parse(email).ok_or("that is not an e-mail address")?;
    let database = Database::open(&Settings::database_url_from_env()?).await?;
    let users = Users::new(database.clone());
    let granted = users.grant(&email, ADMIN_SCOPE).await?;
    let user = users.by_email(&email).await?;
    database.close().await;
    let Some(user) = user.filter(|_| granted) else {
        return Err(
            "no user has this email address: register it first, and confirm it by the link in the \
             email"
                .into(),
        );
    };
    writeln!(
        io::stdout(),
        "granted; it holds from the next login of this user"
    )?;
    if !user.email_verified {
        writeln!(
            io::stdout(),
            "the address is not confirmed: once it is, the account begins anew, without the scope"
        )?;
    }
    Ok(())
}

/// Three lines to paste into another shell.
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
