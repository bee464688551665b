//! [`Table`]: what was seen, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::need::{Fault, Need};
use super::request::Request;
use super::scene::Seen;

const USUAL: &str = "As usual";

#[derive(Default)]
pub(super) struct Table {
    usual: BTreeMap<Request, Seen>,
    seen: BTreeMap<(Need, Request), BTreeMap<Fault, Seen>>,
}

// === impl Table ===

impl Table {
    pub(super) fn add_usual(&mut self, request: Request, seen: Seen) {
        self.usual.insert(request, seen);
    }

    pub(super) fn add(&mut self, need: Need, fault: Fault, request: Request, seen: Seen) {
        self.seen
            .entry((need, request))
            .or_default()
            .insert(fault, seen);
    }

    pub(super) fn usual(&self, request: Request) -> Option<&Seen> {
        self.usual.get(&request)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Need, Fault, Request, &Seen)> {
        self.seen.iter().flat_map(|(&(need, request), seen)| {
            seen.iter()
                .map(move |(&fault, seen)| (need, fault, request, seen))
        })
    }

    /// Compares the tables with those of the documentation, each under the heading of its name. Rows about requests
    /// that this service does not have are left out.
    pub(super) fn compare(&self, documentation: &str) {
        let mut differ = Vec::new();
        let mut tables = vec![(USUAL, self.of_usual())];
        tables.extend(Need::ALL.iter().map(|&need| (need.name(), self.of(need))));
        for (name, table) in &tables {
            let documented = section(documentation, name);
            if documented != table.lines().collect::<Vec<_>>() {
                differ.push(*name);
            }
        }
        let tables = tables
            .iter()
            .map(|(name, table)| format!("## {name}\n\n{table}"));
        let tables: Vec<_> = tables.collect();
        assert!(
            differ.is_empty(),
            "docs/outages.md differs: {}. What was seen:\n\n{}",
            differ.join(", "),
            tables.join("\n")
        );
    }

    fn of_usual(&self) -> String {
        let mut text = "| request | status | header | log |\n|---|---|---|---|\n".to_owned();
        for (request, seen) in &self.usual {
            writeln!(text, "| {} |{}", request.name(), cells(seen)).unwrap();
        }
        text
    }

    /// Returns the rows of what is not as usual. Faults that look the same share a row.
    fn of(&self, need: Need) -> String {
        let mut text =
            "| request | when it is | status | header | log |\n|---|---|---|---|---|\n".to_owned();
        for (&(_, request), seen) in self.seen.iter().filter(|((of, _), _)| *of == need) {
            let mut rows: Vec<(Vec<&str>, &Seen)> = Vec::new();
            for fault in Fault::ALL {
                let Some(seen) = seen.get(&fault) else {
                    continue;
                };
                if self.usual(request) == Some(seen) {
                    continue;
                }
                match rows.iter_mut().find(|(_, other)| *other == seen) {
                    Some((faults, _)) => faults.push(fault.name()),
                    None => rows.push((vec![fault.name()], seen)),
                }
            }
            for (faults, seen) in rows {
                let faults = faults.join(", ");
                writeln!(text, "| {} | {faults} |{}", request.name(), cells(seen)).unwrap();
            }
        }
        text
    }
}

fn cells(seen: &Seen) -> String {
    let status = seen
        .status
        .map_or("".to_owned(), |status| status.to_string());
    let header = seen
        .header
        .map_or(String::new(), |name| format!("`{name}`"));
    let log: Vec<_> = seen.log.iter().map(|line| format!("`{line}`")).collect();
    let cells = [status, header, log.join(", ")].map(|cell| match cell.as_str() {
        "" => " |".to_owned(),
        cell => format!(" {cell} |"),
    });
    cells.concat()
}

/// Returns the lines of the table under this heading.
fn section<'d>(documentation: &'d str, heading: &str) -> Vec<&'d str> {
    let heading = format!("## {heading}");
    let mut lines = documentation
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1);
    let section = lines.by_ref().take_while(|line| !line.starts_with("## "));
    let rows = section.filter(|line| line.starts_with('|'));
    rows.filter(|row| {
        let first = row
            .split(" |")
            .next()
            .unwrap_or_default()
            .trim_start_matches("| ");
        let is_request = first.starts_with('`');
        let known = Request::ALL.iter().any(|request| request.name() == first);
        known || !is_request
    })
    .collect()
}
