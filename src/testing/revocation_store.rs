//! The rules of a [`RevocationStore`], as checks that run on any store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::random::name_of_run;
use crate::clock::{Clock, SystemClock, unix_micros};
use crate::revocation::{Revocation, RevocationQuery, RevocationStore};

const ODD_TEXTS: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE jwt_revocations; --",
    "$1 ?1 :id {} %_ \\' \\\\",
    "]] return 1 --[[",
    "a:b:c {tag} *",
    "\u{e9}",
    "e\u{301}",
    "日本語 \u{1F980}\u{200D}",
    "line\nbreak",
    "x",
    "X",
];

/// Checks that a store of your own keeps the rules of [`RevocationStore`].
///
/// It records some 2,500 entries, under names that no other run uses. They last for an hour, except one that
/// lasts until the end of the year 9999.
///
/// ```
/// use tower_jwt_auth::revocation::MemoryRevocations;
/// use tower_jwt_auth::testing::check_revocation_store;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// check_revocation_store(&MemoryRevocations::new()).await;
/// # }); Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// Panics if the store breaks a rule, or if it is unavailable. The message names the rule.
pub async fn check_revocation_store<S: RevocationStore + Clone>(store: &S) {
    let now = SystemClock.now();
    let check = Check {
        store: store.clone(),
        run: name_of_run(),
        now,
        until: now + Duration::from_secs(3600),
    };
    check.hits().await;
    check.cutoffs().await;
    check.several().await;
    check.odd_texts().await;
    check.at_once().await;
}

#[derive(Debug)]
struct Check<S> {
    store: S,
    run: String,
    now: SystemTime,
    until: SystemTime,
}

// === impl Check ===

impl<S: RevocationStore + Clone> Check<S> {
    async fn revoke(&self, revocation: &Revocation) {
        let told = self.store.revoke(std::slice::from_ref(revocation)).await;
        told.unwrap_or_else(|error| panic!("the revocation store failed in `revoke`: {error:?}"));
    }

    async fn expect(&self, rule: &str, hit: bool, query: &RevocationQuery<'_>) {
        let found = self.store.is_revoked(query).await.unwrap_or_else(|error| {
            panic!("the revocation store failed in `is_revoked`: {error:?}")
        });
        assert!(
            found == hit,
            "the revocation store breaks a rule: {rule}\n expected: {hit}\n    found: {found}\n    query: {query:?}"
        );
        if let Some(known) = self.store.peek(query) {
            assert!(
                known == hit,
                "the revocation store breaks a rule: `peek` must return the same as \
                 `is_revoked`, or `None` ({rule})\n    query: {query:?}"
            );
        }
    }

    /// Checks that each kind of revocation covers what it names, and nothing else.
    async fn hits(&self) {
        let name = |name: &str| format!("{}.{name}", self.run);
        let (alice, login, token) = (name("alice"), name("login"), name("token"));
        let (us, them) = (name("us"), name("them"));
        let query = RevocationQuery {
            issuer: Some(&us),
            subject: &alice,
            session: Some(&login),
            token: &token,
            issued_at: unix_micros(self.now),
        };
        let us = Some(us.as_str());
        self.expect("nothing is revoked at first", false, &query)
            .await;

        let rule = "a revocation covers only tokens with its kind of id, its id and its issuer";
        for other in [
            Revocation::token(us, &login, self.until),
            Revocation::token(us, &alice, self.until),
            Revocation::token(us, name("token2"), self.until),
            Revocation::session(us, &token, self.until),
            Revocation::session(us, &alice, self.until),
            Revocation::subject(us, &token, self.now, self.until),
            Revocation::subject(us, &login, self.now, self.until),
            Revocation::token(Some(&them), &token, self.until),
            Revocation::session(Some(&them), &login, self.until),
            Revocation::subject(Some(&them), &alice, self.now, self.until),
            Revocation::token(None, &token, self.until),
            Revocation::session(None, &login, self.until),
            Revocation::subject(None, &alice, self.now, self.until),
        ] {
            self.revoke(&other).await;
            self.expect(rule, false, &query).await;
        }
        let rule = "a token without a session is not covered by the revocation of any session";
        let alone = RevocationQuery {
            session: None,
            ..query
        };
        self.expect(rule, false, &alone).await;
        let rule = "a token without an issuer is covered by a revocation without an issuer";
        let anonymous = RevocationQuery {
            issuer: None,
            ..query
        };
        self.expect(rule, true, &anonymous).await;

        let rule = "a revocation covers its token, session or subject at once, and may be repeated";
        for (number, target) in ["token", "session", "subject"].iter().enumerate() {
            let id = name(&format!("hit {target}"));
            let nobody = name("untouched");
            let (mut hit, revocation) = (
                RevocationQuery {
                    subject: &nobody,
                    session: None,
                    token: &nobody,
                    ..query
                },
                match number {
                    0 => Revocation::token(us, &id, self.until),
                    1 => Revocation::session(us, &id, self.until),
                    _ => Revocation::subject(us, &id, self.now, self.until),
                },
            );
            match number {
                0 => hit.token = &id,
                1 => hit.session = Some(&id),
                _ => hit.subject = &id,
            }
            self.expect("nothing is revoked at first", false, &hit)
                .await;
            for _ in 0..2 {
                self.revoke(&revocation).await;
                self.expect(rule, true, &hit).await;
            }
        }
    }

    /// Checks that tokens that were issued at or before the cut-off are covered, and no later ones.
    async fn cutoffs(&self) {
        let subject = format!("{}.cut off", self.run);
        let at = |micros: u64| UNIX_EPOCH + Duration::from_micros(micros);
        let cutoff = unix_micros(self.now);
        let query = |issued_at| RevocationQuery {
            issuer: Some("us"),
            subject: &subject,
            session: None,
            token: "any",
            issued_at,
        };
        let revoke = |cutoff, until| Revocation::subject(Some("us"), &subject, at(cutoff), until);
        self.revoke(&revoke(cutoff, self.until)).await;

        let rule = "a cut-off covers tokens that were issued at or before it, to the microsecond";
        for (issued_at, hit) in [(0, true), (cutoff - 1, true), (cutoff, true)] {
            self.expect(rule, hit, &query(issued_at)).await;
        }
        self.expect(rule, false, &query(cutoff + 1)).await;

        let rule = "a later call with an earlier cut-off does not lower the cut-off";
        let sooner = self.until - Duration::from_secs(600);
        self.revoke(&revoke(cutoff - 5_000_000, sooner)).await;
        self.expect(rule, true, &query(cutoff)).await;
        let rule = "a later cut-off counts even if its entry ends earlier";
        self.revoke(&revoke(cutoff + 5, sooner)).await;
        self.expect(rule, true, &query(cutoff + 5)).await;
        self.expect(rule, false, &query(cutoff + 6)).await;

        let rule = "a revocation may last until the end of the year 9999";
        let end = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        self.revoke(&Revocation::subject(Some("us"), &subject, end, end))
            .await;
        self.expect(rule, true, &query(unix_micros(end))).await;
        self.expect(rule, false, &query(unix_micros(end) + 1)).await;
    }

    /// Checks that many sessions are revoked in one call.
    async fn several(&self) {
        let names: Vec<_> = (0..2_500).map(|id| format!("{}.{id}", self.run)).collect();
        let us = Some("several");
        let mut all: Vec<_> = names
            .iter()
            .map(|name| Revocation::session(us, name, self.until))
            .collect();
        all.push(all[0].clone()); // the same one twice
        all.push(Revocation::token(us, &names[0], self.until));
        all.push(Revocation::subject(us, &names[0], self.now, self.until));
        let told = self.store.revoke(&all).await;
        told.unwrap_or_else(|error| panic!("the revocation store failed in `revoke`: {error:?}"));

        let nobody = format!("{}.nobody", self.run);
        let query = |subject, session, token| RevocationQuery {
            issuer: us,
            subject,
            session: Some(session),
            token,
            issued_at: unix_micros(self.now),
        };
        let rule = "each of many revocations in one call is in effect";
        for name in names.iter().step_by(97).chain(names.last()) {
            self.expect(rule, true, &query(&nobody, name, &nobody))
                .await;
        }
        self.expect(rule, true, &query(&names[0], &nobody, &nobody))
            .await;
        self.expect(rule, true, &query(&nobody, &nobody, &names[0]))
            .await;
        let rule = "many revocations in one call cover nothing else";
        self.expect(rule, false, &query(&names[1], &nobody, &names[1]))
            .await;
        let rule = "a call without revocations changes nothing";
        let told = self.store.revoke(&[]).await;
        told.unwrap_or_else(|error| panic!("the revocation store failed in `revoke`: {error:?}"));
        self.expect(rule, false, &query(&nobody, &nobody, &nobody))
            .await;
    }

    async fn odd_texts(&self) {
        let rule = "ids and issuers are stored unchanged, whatever characters they contain";
        let names: Vec<_> = ODD_TEXTS
            .iter()
            .map(|text| format!("{}{text}", self.run))
            .collect();
        for revoked in 0..names.len() {
            let issuer = Some(names[revoked].as_str());
            self.revoke(&Revocation::token(issuer, &names[revoked], self.until))
                .await;
            self.revoke(&Revocation::session(issuer, &names[revoked], self.until))
                .await;
            for (other, name) in names.iter().enumerate() {
                let query = RevocationQuery {
                    issuer,
                    subject: name,
                    session: None,
                    token: name,
                    issued_at: unix_micros(self.now),
                };
                self.expect(rule, other == revoked, &query).await;
                let query = RevocationQuery {
                    session: Some(name),
                    token: "any",
                    ..query
                };
                self.expect(rule, other == revoked, &query).await;
            }
        }
    }

    /// Checks that the latest of several cut-offs counts if they are recorded at the same time.
    async fn at_once(&self) {
        let subject = format!("{}.at once", self.run);
        let cutoff = unix_micros(self.now);
        let mut running: JoinSet<()> = (0..32)
            .map(|number: u64| {
                let store = self.store.clone();
                let at = UNIX_EPOCH + Duration::from_micros(cutoff + (number * 13) % 32);
                let revocation = Revocation::subject(None, &subject, at, self.until);
                async move {
                    let told = store.revoke(&[revocation]).await;
                    told.unwrap_or_else(|error| {
                        panic!("the revocation store failed in `revoke`: {error:?}")
                    });
                }
            })
            .collect();
        while let Some(done) = running.join_next().await {
            done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        }
        let rule = "if several cut-offs are recorded at the same time, the latest counts";
        for (issued_at, hit) in [(cutoff + 31, true), (cutoff + 32, false)] {
            let query = RevocationQuery {
                issuer: None,
                subject: &subject,
                session: None,
                token: "any",
                issued_at,
            };
            self.expect(rule, hit, &query).await;
        }
    }
}
