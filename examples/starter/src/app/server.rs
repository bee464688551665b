//! Serving: until asked to stop, then until the open requests are answered.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::App;
use super::connections::{Limits, serve_connections};
use crate::error::Error;

/// How long open requests may take after the request to stop: their own timeout, and a little.
const GRACE: Duration = Duration::from_secs(12);

/// Serves the app until `stop`, answers what has been asked by then, and closes the database.
/// What is over is removed meanwhile, and the keys are published.
///
/// # Errors
///
/// None at present.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        stop.await;
        tracing::info!("stopping");
        let _ = stopping.send(());
    };
    let server = serve_connections(listener, app.router(), Limits::of_this_process(), stop);
    let too_late = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = server => {}
        () = app.work() => {} // never ends
        () = too_late => tracing::warn!("some connections were still open"),
    }
    app.close().await;
    Ok(())
}

/// Listens for Ctrl-C and SIGTERM from now on; the future ends at the first of them.
///
/// # Errors
///
/// The system does not let us listen.
#[cfg(unix)]
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Waits for Ctrl-C.
///
/// # Errors
///
/// None here.
#[cfg(not(unix))]
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "Ctrl-C cannot be waited for");
            std::future::pending::<()>().await;
        }
    })
}
