//! [`Table`]: what was seen, as Markdown in the guide.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::remote::Fault;
use crate::seen::Seen;

/// The rows by token, in the order in which they were added, then by policy, then by fault.
#[derive(Default)]
pub struct Table(Vec<(&'static str, Policies)>);

type Policies = Vec<(&'static str, BTreeMap<Fault, Seen>)>;

// === impl Table ===

impl Table {
    /// Adds a cell, and checks what holds in each of them. `usual` is the status without an outage, and `unchecked`
    /// says that the policy lets a request through without the check.
    pub fn add(
        &mut self,
        (token, policy, fault): (&'static str, &'static str, Fault),
        seen: Seen,
        usual: u16,
        unchecked: bool,
    ) {
        let what = format!("{token} {policy} {fault:?}: {seen:?}");
        let is_pass = unchecked && seen.status == 200;
        assert!([usual, 503].contains(&seen.status) || is_pass, "{what}");
        assert_eq!(
            seen.status == 503,
            seen.header == Some("Retry-After"),
            "{what}"
        );
        assert!(seen.status != 503 || !seen.log.is_empty(), "{what}");
        if self.0.last().is_none_or(|(last, _)| *last != token) {
            self.0.push((token, Vec::new()));
        }
        let (_, policies) = self.0.last_mut().unwrap();
        if policies.last().is_none_or(|(last, _)| *last != policy) {
            policies.push((policy, BTreeMap::new()));
        }
        policies.last_mut().unwrap().1.insert(fault, seen);
    }

    /// Compares the table with the one in the guide.
    pub fn compare(&self) {
        let guide = include_str!("../../src/guide/operating.md");
        let table = self.text();
        let is_there = guide.contains(&format!("\n\n{table}\n"));
        assert!(
            is_there,
            "the guide on operating does not have this table:\n\n{table}"
        );
    }

    fn text(&self) -> String {
        let mut text =
            "| token | policy | when it is | status | header | log |\n|---|---|---|---|---|---|\n"
                .to_owned();
        for (token, policies) in &self.0 {
            let mut alike: Vec<(Vec<&str>, &BTreeMap<Fault, Seen>)> = Vec::new();
            for (policy, seen) in policies {
                match alike.iter_mut().find(|(_, other)| *other == seen) {
                    Some((names, _)) => names.push(policy),
                    None => alike.push((vec![policy], seen)),
                }
            }
            let all = alike.len() == 1;
            for (names, seen) in alike {
                let names = if all {
                    "any".to_owned()
                } else {
                    names.join(", ")
                };
                for (faults, seen) in rows(seen) {
                    writeln!(text, "| {token} | {names} | {faults} |{}", cells(seen)).unwrap();
                }
            }
        }
        text
    }
}

/// Faults that look the same share a row.
fn rows(seen: &BTreeMap<Fault, Seen>) -> Vec<(String, &Seen)> {
    let mut rows: Vec<(Vec<&str>, &Seen)> = Vec::new();
    for (fault, seen) in seen {
        match rows.iter_mut().find(|(_, other)| *other == seen) {
            Some((faults, _)) => faults.push(fault.name()),
            None => rows.push((vec![fault.name()], seen)),
        }
    }
    if rows.len() == 1 && seen.len() > 1 {
        return vec![("any of these".to_owned(), rows[0].1)];
    }
    let rows = rows.into_iter();
    rows.map(|(faults, seen)| (faults.join(", "), seen))
        .collect()
}

fn cells(seen: &Seen) -> String {
    let header = seen
        .header
        .map_or(String::new(), |name| format!("`{name}`"));
    let log: Vec<_> = seen.log.iter().map(|line| format!("`{line}`")).collect();
    let cells = [seen.status.to_string(), header, log.join(", ")];
    let cells = cells.map(|cell| match cell.as_str() {
        "" => " |".to_owned(),
        cell => format!(" {cell} |"),
    });
    cells.concat()
}
