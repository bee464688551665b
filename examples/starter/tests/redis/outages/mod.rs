//! What clients and operators see while something that the service depends on is out of order: every dependency,
//! every fault, every kind of request. The tables are in `docs/outages.md`.

mod bucket; // chapter: avatars
mod log;
mod need;
mod request;
mod scene;
mod servers;
mod table;
mod visitors;

use futures_util::future::join_all;
use need::{Fault, Need};
use request::Request;
use scene::{Scene, Seen};
use table::Table;
use tokio::sync::Semaphore;

/// How many services start at once.
const STARTING: usize = 3;

/// What is the same in every row, whatever the table says.
fn assert_rules(need: Need, fault: Fault, request: Request, seen: &Seen, usual: Option<&Seen>) {
    let what = format!("{need:?} {fault:?} {request:?}: {seen:?}");
    let Some((status, usual)) = seen.status.zip(usual.and_then(|usual| usual.status)) else {
        return;
    };
    // An outage is never a refusal, and a refusal never becomes a pass.
    assert!(status == usual || status == 503, "{what}");
    assert_eq!(status == 503, seen.header == Some("Retry-After"), "{what}");
    assert_eq!(
        status == 503,
        !seen.log.is_empty() && status != usual,
        "{what}"
    );
}

/// Plays the faults one after the other, with one service. The first service also shows what is usual.
async fn play(
    need: Need,
    faults: &'static [Fault],
    is_first: bool,
    starting: &Semaphore,
) -> Option<Vec<(Option<Fault>, Request, Seen)>> {
    let mut scene = {
        let _turn = starting.acquire().await.unwrap();
        Scene::set(need).await?
    };
    let usual = is_first.then_some(None);
    let mut all = Vec::new();
    for fault in usual.into_iter().chain(faults.iter().copied().map(Some)) {
        let seen = scene.play(fault).await;
        all.extend(
            seen.into_iter()
                .map(|(request, seen)| (fault, request, seen)),
        );
    }
    Some(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_look_as_the_documentation_says() {
    // All at once, because most of the time is spent waiting for the time limits of the service.
    // They start a few at a time, because that is all work.
    let starting = &Semaphore::new(STARTING);
    let mut playing = Vec::new();
    for &need in Need::ALL {
        for (number, &faults) in need.faults().iter().enumerate() {
            let is_first = need == Need::Redis && number == 0;
            playing.push(async move { (need, play(need, faults, is_first, starting).await) });
        }
    }
    let mut table = Table::default();
    for (need, seen) in join_all(playing).await {
        let Some(seen) = seen else {
            return; // a server is missing, as a message says
        };
        for (fault, request, seen) in seen {
            match fault {
                Some(fault) => table.add(need, fault, request, seen),
                None => table.add_usual(request, seen),
            }
        }
    }
    for (need, fault, request, seen) in table.all() {
        assert_rules(need, fault, request, seen, table.usual(request));
    }
    table.compare(include_str!("../../../docs/outages.md"));
}
