//! Servers that are Python packages, each in an environment of its own in the target folder.

use std::path::PathBuf;
use std::process::Command;

use super::server::missing;

/// Returns the folder with the programs, which is installed once over the network. Returns `None` with a
/// message if that fails.
pub(crate) fn environment(package: &str) -> Option<PathBuf> {
    let name = package.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (programs, ready) = (place.join("bin"), place.join("ready"));
    if !ready.exists() {
        let _ = std::fs::remove_dir_all(&place);
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(&place))
            && run(Command::new(programs.join("python"))
                .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
                .arg(package));
        if !made {
            missing(&format!("the Python package {package}"));
            return None;
        }
        std::fs::write(ready, "").unwrap();
    }
    Some(programs)
}

fn run(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
