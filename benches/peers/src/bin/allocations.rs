//! Prints how often one request allocates: `cargo run --release --bin allocations`.
//!
//! It is a program of its own, because counting slows down what is counted.

use peers::{ALGORITHMS, Case, Tokens};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    println!("Allocations per request, reallocations included.\n");
    for algorithm in ALGORITHMS {
        let tokens = Tokens::new(algorithm, 4);
        let mut contenders = runtime.block_on(peers::all(&tokens));
        print!("| {:33} |", algorithm.as_str());
        Case::ALL
            .iter()
            .for_each(|case| print!(" {} |", case.name()));
        println!("\n|{:-<35}|{}", "", "---:|".repeat(Case::ALL.len()));
        for contender in &mut contenders {
            print!("| {:33} |", contender.name);
            // The first request sets up what all requests share.
            runtime.block_on(contender.lets_through(tokens.last(Case::First)));
            for case in Case::ALL {
                let credentials = tokens.credentials(case, 1);
                if matches!(case, Case::Repeat | Case::Rotation) {
                    // Until the token is in the cache, for contenders that have one.
                    for _ in 0..5 {
                        runtime.block_on(contender.lets_through(credentials));
                    }
                }
                let counted = allocation_counter::measure(|| {
                    runtime.block_on(contender.lets_through(credentials));
                });
                print!(
                    " {:width$} |",
                    counted.count_total,
                    width = case.name().len()
                );
            }
            println!();
        }
        println!();
    }
}
