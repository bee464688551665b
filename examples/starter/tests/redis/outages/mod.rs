//! What the service answers while something that it needs is out of order: one table for all of it, which is
//! also in `docs/outages.md`.

mod scene;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use scene::Scene;
use table::{FAULTS, Fault, LOGGED, Need, REQUESTS, ROWS, Request};

/// The answers of a scene, request by request.
type Answers = Vec<(Request, String)>;

/// How many scenes are played at once.
const AT_ONCE: usize = 4;

/// The cells of the table as they are.
async fn observed() -> Option<BTreeMap<(Need, Request), Vec<String>>> {
    let mut scenes = Vec::new();
    for &need in Need::ALL {
        for (column, &(fault, _)) in FAULTS.iter().enumerate() {
            if need.can(fault) {
                scenes.push((need, fault, column));
            }
        }
    }
    let mut cells: BTreeMap<(Need, Request), Vec<String>> = BTreeMap::new();
    for some in scenes.chunks(AT_ONCE) {
        let mut playing = tokio::task::JoinSet::new();
        for &(need, fault, column) in some {
            playing.spawn(async move { (need, column, play(need, fault).await) });
        }
        while let Some(played) = playing.join_next().await {
            let (need, column, answers) = played.unwrap();
            for (request, answer) in answers? {
                let row = cells.entry((need, request));
                row.or_insert_with(|| vec!["n/a".to_owned(); FAULTS.len()])[column] = answer;
            }
        }
    }
    Some(cells)
}

/// Everything is well, then something is not, and each request is sent.
async fn play(need: Need, fault: Fault) -> Option<Answers> {
    let mut scene = Scene::set(need, fault).await?;
    scene.begin(fault).await;
    let answers = scene.ask_all().await;
    let (_, told) = LOGGED.iter().find(|(whose, _)| *whose == need).unwrap();
    let told = (fault != Fault::Slow).then_some(*told);
    let log = scene.end(told).await;
    for mistake in ["request failed", "panicked"] {
        assert!(!log.contains(mistake), "{need:?} {fault:?}: {log}");
    }
    Some(answers)
}

/// The table as Markdown.
fn markdown<'c>(cell: impl Fn(Need, Request, usize) -> &'c str) -> String {
    let mut text = "| out of order | request |".to_owned();
    for (_, name) in FAULTS {
        write!(text, " {name} |").unwrap();
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(FAULTS.len()));
    text.push('\n');
    for &need in Need::ALL {
        for &request in REQUESTS {
            write!(text, "| {} | {} |", need.name(), request.name()).unwrap();
            for column in 0..FAULTS.len() {
                write!(text, " {} |", cell(need, request, column)).unwrap();
            }
            text.push('\n');
        }
    }
    text
}

fn expected() -> String {
    markdown(|need, request, column| {
        let row = ROWS.iter().find(|row| (row.0, row.1) == (need, request));
        row.map_or("missing", |row| row.2[column])
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_are_answered_as_the_table_says() {
    let Some(observed) = observed().await else {
        return;
    };
    let observed = markdown(|need, request, column| &observed[&(need, request)][column]);
    assert_eq!(observed, expected(), "observed:\n{observed}");
}

/// Whatever is out of order: no token is refused for it, and none passes that must not.
#[test]
fn no_outage_in_the_table_is_a_verdict() {
    for &(need, request, answers) in ROWS {
        for answer in answers.iter().filter(|&&answer| answer != "n/a") {
            let what = format!("{need:?} {request:?} {answer}");
            match request.is_refused_always() {
                Some(refused) => assert!([refused, "503"].contains(answer), "{what}"),
                None => assert!(answer.starts_with('2') || *answer == "503", "{what}"),
            }
        }
    }
}

#[test]
fn the_table_of_outages_is_in_the_documentation() {
    let documented = include_str!("../../../docs/outages.md").lines();
    let documented = documented.filter(|line| line.starts_with('|'));
    let expected = expected();
    // The rows of a chapter that was taken out stay in the documentation.
    let documented: Vec<&str> = documented
        .filter_map(|line| match line.split_once(" <!--") {
            Some((row, _)) => expected.contains(row).then_some(row),
            None => Some(line),
        })
        .collect();
    assert_eq!(
        documented,
        expected.lines().collect::<Vec<_>>(),
        "{expected}"
    );
}
