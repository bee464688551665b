# What to run when: see CONTRIBUTING.md. `just` alone lists the recipes.

crate := "tower-jwt-auth"

[private]
default:
    @just --list --unsorted

# Format, lints of the crate with all features, and the layering of modules.
check:
    cargo fmt --all --check
    cargo clippy --locked -p {{crate}} --all-features --lib -- -D warnings
    cargo test --locked -p {{crate}} --test floor_plan --quiet

# The tests of the crate with its default features; filter by a part of a name.
test *filter:
    cargo test --locked -p {{crate}} {{filter}}

# Everything, with all features and all examples.
test-all:
    cargo test --locked --workspace

# The documentation, with warnings as errors, and every code block in it.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked -p {{crate}} --no-deps --all-features
    cargo test --locked -p {{crate}} --all-features --doc

# Benchmarks of issuing and verifying.
bench:
    cargo bench --locked -p {{crate}} --bench tokens

# A request, compared with other crates.
bench-peers:
    cd benches/peers && cargo run --release

# The example service with accounts, on http://127.0.0.1:3000.
starter:
    cargo run --locked -p starter

# What the continuous integration runs.
ci:
    .ci/run
