//! Rebuilds the program when a migration or a file of the page changes, because they are built into it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=assets");
}
