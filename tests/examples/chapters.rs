//! The starter, copied and reduced: each optional chapter can be removed, and a copy is renamed by changing
//! one line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::copied;

const STARTER: &str = "starter";

/// The optional chapters, as listed by the starter's script.
fn chapters() -> Vec<String> {
    let output = Command::new(copied::original(STARTER).join("chapters"))
        .arg("list")
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let listed = String::from_utf8(output.stdout).unwrap();
    listed.lines().map(str::to_owned).collect()
}

/// A copy without these chapters, and under another name.
fn without(chapters: &[String], folder: &str) -> PathBuf {
    copied::copy_changed(STARTER, folder, |draft| {
        let script = Command::new(draft.join("chapters"))
            .arg("remove")
            .args(chapters)
            .output();
        let script = script.unwrap();
        assert!(script.status.success(), "{script:?}");
        rename(draft);
    })
}

/// Changes the one line that holds the name.
fn rename(copy: &Path) {
    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let renamed = text.replacen("name = \"starter\"", "name = \"my-service\"", 1);
    assert_ne!(text, renamed);
    fs::write(&manifest, renamed).unwrap();
}

/// Compiles the copy with its tests. A warning, such as about dead code, counts as an error.
fn assert_sound(copy: &Path, what: &str) {
    let output = copied::cargo("check", copy).arg("--all-targets").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} does not compile:\n{said}");
    // A dependency that a profile optimizes may be gone with a removed chapter. Cargo warns of that.
    let mut lines = said
        .lines()
        .filter(|line| !line.starts_with("warning: profile "));
    let warning = lines.find(|line| line.starts_with("warning"));
    assert_eq!(warning, None, "{what}:\n{said}");
}

/// Returns groups of chapters to remove together. For any two chapters, there is a group with the first one and
/// without the second: each chapter is in a different half of the groups. So if one chapter needs another one,
/// some group does not compile, as if each chapter were removed alone, but with fewer compilations.
fn groups(chapters: &[String]) -> Vec<Vec<String>> {
    let choices =
        |count: u32| (0_u32..1 << count).filter(move |mask| mask.count_ones() == count / 2);
    let count = (2..)
        .find(|&count| choices(count).count() >= chapters.len())
        .unwrap();
    let group = |number| {
        let chosen = chapters.iter().zip(choices(count));
        let chosen = chosen.filter(|(_, mask)| mask & (1_u32 << number) != 0);
        chosen.map(|(chapter, _)| chapter.clone()).collect()
    };
    (0..count).map(group).collect()
}

#[test]
fn some_group_separates_each_chapter_from_each_other() {
    for count in 1..40 {
        let chapters: Vec<_> = (0..count).map(|number: u32| number.to_string()).collect();
        let groups = groups(&chapters);
        for one in &chapters {
            assert!(groups.iter().any(|group| group.contains(one)), "{count}");
            for other in chapters.iter().filter(|&other| other != one) {
                let mut parted = groups.iter().filter(|group| group.contains(one));
                assert!(parted.any(|group| !group.contains(other)), "{count}");
            }
        }
    }
}

#[test]
fn copied_examples_compile_renamed_and_without_any_chapter() {
    let all = chapters();
    assert!(all.len() >= 7, "{all:?}");
    for (number, group) in groups(&all).into_iter().enumerate() {
        let copy = without(&group, &format!("starter-without-{number}"));
        assert_sound(&copy, &format!("the starter without {}", group.join(", ")));
    }
}

/// The names of the tests that need no server and do not measure times.
fn tests_of(copy: &Path) -> Vec<String> {
    let arguments = [&copied::STARTER_TESTS[..], &["--", "--list"]].concat();
    let listed = copied::test(copy, &arguments).unwrap_or_else(|said| panic!("{said}"));
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    let names = names.filter(|name| !name.contains("timing"));
    names.map(str::to_owned).collect()
}

/// A copy without chapters runs the tests that it has; one with all of them runs the others.
#[test]
fn copied_examples_pass_their_own_tests() {
    let all = chapters();
    let core = without(&all, "starter-core");
    for chapter in all {
        let left = format!("chapter: {chapter}");
        let text = fs::read_to_string(core.join("src/app/parts.rs")).unwrap();
        assert!(!text.contains(&left), "{left}");
    }
    assert_sound(&core, "the starter without all chapters");
    let tests = [
        &["--lib"],
        &copied::STARTER_TESTS[..],
        &["--", "--skip", "timing"],
    ]
    .concat();
    copied::test(&core, &tests).unwrap_or_else(|said| panic!("{said}"));

    let full = copied::built(STARTER);
    let (here, there) = (tests_of(&full), tests_of(&core));
    let others: Vec<&str> = here
        .iter()
        .filter(|name| !there.contains(name))
        .map(String::as_str)
        .collect();
    assert!(
        others.len() > 50 && there.len() > 50,
        "{others:?} {there:?}"
    );
    let tests = [&copied::STARTER_TESTS[..], &["--", "--exact"], &others].concat();
    copied::test(&full, &tests).unwrap_or_else(|said| panic!("{said}"));
}
