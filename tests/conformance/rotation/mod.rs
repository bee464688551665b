//! A model of what the guide promises about sessions: a legitimate client on a bad network with two tabs, a
//! thief, two nodes whose clocks differ, requests that are dropped at every point, and a store that loses
//! what a store may lose, in random order.

mod store;
mod world;

use std::future::Future;

use proptest::prelude::*;
use tower_jwt_auth::sessions::SessionErrorKind;

use world::{
    End, GRACE, MAX_LOST_RESPONSES, MAX_SKEW, Step, World, dropped, generation, refresh, run,
    session, with_accidents, with_thief,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

/// Checks that no token is accepted any more, at any node, now and later.
async fn everything_is_refused(world: &mut World) {
    for later in [0, 1, 60, 3_600, 86_400] {
        world.advance(later);
        for pair in world.given.clone() {
            for node in &world.nodes {
                let access = node.tokens.verifier().verify(&pair.access_token).await;
                assert!(access.is_err(), "an access token is good {later} s later");
                let refreshed = refresh(&node.sessions, &pair.refresh_token, None).await;
                assert!(
                    refreshed.is_err(),
                    "a refresh token is good {later} s later"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_honest_client_is_never_logged_out(
        steps in with_accidents(), skew in 0..=MAX_SKEW, marks: bool,
    ) {
        block_on(async {
            let mut world = World::new(skew, marks, false).await;
            for (step, node) in &steps {
                let ended = run(&mut world, *step, *node).await;
                prop_assert!(ended.is_ok(), "{ended:?} at {step:?}");
            }
            prop_assert_eq!(world.converged, *world.told.lock().unwrap(), "each is told");
            Ok(())
        })?;
    }

    /// A token older than the current one ends the session, once the current one is in use and the grace is
    /// over, whether the thief or the client presents it.
    #[test]
    fn a_thief_is_detected_once_both_have_refreshed(
        steps in with_thief(), skew in 0..=MAX_SKEW,
    ) {
        block_on(async {
            let mut world = World::new(skew, false, false).await;
            for (step, node) in &steps {
                let found = run(&mut world, *step, *node).await;
                if let Err(kind) = found {
                    prop_assert!(world.thief.is_some(), "{kind:?} without a thief");
                    everything_is_refused(&mut world).await;
                    return Ok(());
                }
            }
            prop_assert_eq!(world.converged, *world.told.lock().unwrap(), "each is told");
            let Some(thief) = world.thief.clone() else { return Ok(()) };
            let (ahead, behind) = match generation(&thief).cmp(&generation(&world.client)) {
                std::cmp::Ordering::Greater => (thief, world.client.clone()),
                std::cmp::Ordering::Less => (world.client.clone(), thief),
                std::cmp::Ordering::Equal => return Ok(()),
            };
            prop_assume!(generation(&ahead) == world.record().await.generation);
            prop_assume!(world.calls(&ahead, 0).await);
            world.advance(GRACE + 1 + skew);
            let late = world.refresh(&behind.refresh_token, 0, "").await;
            prop_assert_eq!(late.err(), Some(SessionErrorKind::ReuseDetected));
            everything_is_refused(&mut world).await;
            Ok(())
        })?;
    }

    /// If the callers set marks, the session ends when the second of client and thief uses the same
    /// generation, however close they are.
    #[test]
    fn a_thief_with_another_mark_is_detected_at_the_second_use(
        steps in with_thief(), skew in 0..=MAX_SKEW, elsewhere: bool,
    ) {
        block_on(async {
            let mut world = World::new(skew, true, elsewhere).await;
            let mut thief_was_first = false;
            for (step, node) in &steps {
                let lone = matches!(step, Step::Refresh { lost: false });
                let found = run(&mut world, *step, *node).await;
                if found.is_err() {
                    prop_assert!(world.thief.is_some());
                    everything_is_refused(&mut world).await;
                    return Ok(());
                }
                prop_assert!(!(thief_was_first && lone), "the client went on behind a thief");
                let thief = world.thief.as_ref().map(generation);
                thief_was_first = thief.is_some_and(|thief| thief > generation(&world.client));
            }
            Ok(())
        })?;
    }

    /// If nothing is ever acknowledged, a thief who is behind the client succeeds at most four times outside
    /// the grace.
    #[test]
    fn a_slow_thief_is_detected_without_acknowledgements(
        behind in GRACE + 1..200, pause in 0..2_000_u64,
    ) {
        block_on(async {
            let mut world = World::new(0, false, true).await;
            let mut through = 0;
            loop {
                let stolen = world.client.refresh_token.clone();
                if world.client_refreshes(0).await.is_err() {
                    break;
                }
                world.advance(behind);
                if world.refresh(&stolen, 0, "").await.is_err() {
                    break;
                }
                through += 1;
                prop_assert!(through < MAX_LOST_RESPONSES);
                world.advance(pause);
            }
            everything_is_refused(&mut world).await;
            Ok(())
        })?;
    }

    /// A logout always takes effect: in each way, whatever the clocks say, also if its request is dropped
    /// halfway, if a refresh is in progress, or if the store has lost its index.
    #[test]
    fn an_ended_session_stays_ended(
        steps in with_accidents(),
        skew in 0..=MAX_SKEW,
        end in prop_oneof![
            Just(End::Here), Just(End::There), Just(End::ByToken), Just(End::Others),
            Just(End::Everywhere),
        ],
        node in 0..2_usize,
        polls in proptest::option::of(1..20_u32),
        under_way in proptest::option::of(0..12_u32),
        lost_index: bool,
    ) {
        block_on(async {
            let mut world = World::new(skew, false, false).await;
            for (step, node) in &steps {
                run(&mut world, *step, *node).await.unwrap();
            }
            // Only a logout everywhere has a cut-off, which covers sessions that the index has lost.
            let lost = lost_index && matches!(end, End::Everywhere);
            *world.store.lost_index.lock().unwrap() = lost;

            let token = world.client.refresh_token.clone();
            let other = world.nodes[1 - node].sessions.clone();
            let racing = {
                let token = token.clone();
                tokio::spawn(async move { refresh(&other, &token, None).await })
            };
            for _ in 0..under_way.unwrap_or(30) {
                tokio::task::yield_now().await;
            }
            let sid = session(&world.client);
            let sessions = world.nodes[node].sessions.clone();
            let ending = async {
                match end {
                    End::Here => sessions.end(&sid).await.map(drop),
                    End::There => sessions.end_owned_by("alice", &sid).await.map(drop),
                    End::ByToken => sessions.end_by_token(&token).await.map(drop),
                    End::Others => sessions.end_others("alice", "another").await.map(drop),
                    End::Everywhere => sessions.end_all("alice").await.map(drop),
                }
            };
            match polls {
                // The first poll has started it.
                Some(polls) => dropped(polls, ending).await,
                None => ending.await.unwrap(),
            }
            if let Ok(refreshed) = racing.await.unwrap() {
                world.given.push(refreshed.tokens);
            }
            // If the index was lost and the clock of the other node is ahead, an access token that was being
            // issued may be after the cut-off: it is valid until it expires, never longer.
            if lost && skew > 0 {
                world.advance(900 + 30 + MAX_SKEW);
            }
            everything_is_refused(&mut world).await;
            *world.store.lost_index.lock().unwrap() = false;

            let login = world.nodes[node].sessions.open("alice").issue().await.unwrap();
            prop_assert!(world.calls(&login, node).await, "a login afterwards is good");
            let again = refresh(&world.nodes[node].sessions, &login.refresh_token, None).await;
            prop_assert!(again.is_ok(), "{again:?}");
            Ok(())
        })?;
    }
}
