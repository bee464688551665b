//! Serving: until the program is asked to stop, and then until the open requests are answered.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::App;
use super::connections::{Limits, serve_connections};
use crate::error::Error;

/// How long open requests may take after the request to stop: their own timeout and a little more.
const GRACE: Duration = Duration::from_secs(12);

/// Serves the app until `stop`, answers the open requests, and closes the database. Meanwhile it removes
/// expired rows and publishes the keys.
///
/// # Errors
///
/// Never fails at present.
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
        () = app.work() => {} // never returns
        () = too_late => tracing::warn!("stopped although some connections were still open"),
    }
    app.close().await;
    Ok(())
}

/// Starts to listen for Ctrl-C and SIGTERM. The future completes when the first of them arrives.
///
/// # Errors
///
/// Fails if the operating system does not allow listening for signals.
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
/// Never fails on this platform.
#[cfg(not(unix))]
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "cannot wait for Ctrl-C: end the process to stop the service");
            std::future::pending::<()>().await;
        }
    })
}
