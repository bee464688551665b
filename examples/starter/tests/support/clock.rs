//! Gives a process a clock of its own, with a small library that is loaded before that of the system.

use std::path::PathBuf;
use std::process::Command;

use super::Folder;
use super::server::missing;

/// Adds this many seconds to the time of day, and to nothing else.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, time);
    const char *ahead = getenv("CLOCK_AHEAD");
    if (!failed && clock == CLOCK_REALTIME && ahead) time->tv_sec += atol(ahead);
    return failed;
}
"#;

/// Returns the library in this folder, or `None` with a message if there is no C compiler or no such
/// loader.
pub(crate) fn library(folder: &Folder) -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        missing("a loader with LD_PRELOAD");
        return None;
    }
    let (source, library) = (
        folder.path().join("clock.c"),
        folder.path().join("clock.so"),
    );
    std::fs::write(&source, SOURCE).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    if !made.is_ok_and(|made| made.success()) {
        missing("a C compiler");
        return None;
    }
    Some(library)
}
