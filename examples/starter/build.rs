//! Builds the program anew when a migration or a file of the page changes: they are part of it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=assets");
}
