//! The starter, copied and reduced: each optional chapter can be removed, and a copy is renamed by changing
//! one line.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::copied;

const STARTER: &str = "starter";

/// The optional chapters, as listed by the starter's script.
fn chapters(copy: &Path) -> Vec<String> {
    let output = Command::new(copy.join("chapters")).arg("list").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let listed = String::from_utf8(output.stdout).unwrap();
    listed.lines().map(str::to_owned).collect()
}

fn remove(copy: &Path, chapters: &[String]) {
    let script = Command::new(copy.join("chapters"))
        .arg("remove")
        .args(chapters)
        .output();
    let script = script.unwrap();
    assert!(script.status.success(), "{script:?}");
}

/// Compiles the copy with its tests. A warning, such as about dead code, counts as an error.
fn assert_sound(copy: &Path, what: &str) {
    let output = copied::cargo("check", copy).arg("--all-targets").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} does not compile:\n{said}");
    let warning = said.lines().position(|line| line.starts_with("warning"));
    assert_eq!(warning, None, "{what}:\n{said}");
}

#[test]
fn copied_examples_compile_without_any_one_chapter() {
    let all = chapters(&copied::copy(STARTER, "starter-chapters"));
    assert!(all.len() >= 7, "{all:?}");
    for chapter in all {
        let copy = copied::copy(STARTER, "starter-chapters");
        remove(&copy, std::slice::from_ref(&chapter));
        assert_sound(&copy, &format!("the starter without {chapter}"));
    }
}

#[test]
fn copied_examples_pass_their_tests_without_all_chapters() {
    let copy = copied::copy(STARTER, "starter-core");
    let all = chapters(&copy);
    remove(&copy, &all);
    for chapter in all {
        let left = format!("chapter: {chapter}");
        let text = fs::read_to_string(copy.join("src/app/parts.rs")).unwrap();
        assert!(!text.contains(&left), "{left}");
    }
    assert_sound(&copy, "the starter without all chapters");
    let tests = ["--lib", "--test", "sqlite", "--", "--skip", "timing"];
    if let Err(said) = copied::test_copy(&copy, &tests) {
        panic!("{said}");
    }
}

#[test]
fn copied_examples_are_renamed_by_one_line() {
    let copy = copied::copy(STARTER, "starter-renamed");
    let manifest = copy.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let renamed = text.replacen("name = \"starter\"", "name = \"my-service\"", 1);
    assert_ne!(text, renamed);
    fs::write(&manifest, renamed).unwrap();
    assert_sound(&copy, "a renamed starter");
    let tests = ["--lib", "--test", "binary"];
    if let Err(said) = copied::test_copy(&copy, &tests) {
        panic!("{said}");
    }
}
