//! Prints the time that one request takes with each contender: `cargo run --release [ALGORITHM]`.

use std::time::Instant;

use peers::{ALGORITHMS, Case, Contender, OURS, ROUTER, SIGNATURE, Tokens};

/// The number of rounds of each contender. The first round is a warm-up.
const ROUNDS: usize = 21;
/// The number of distinct good tokens. Each round uses an equal share of them.
const TOKENS: usize = 500 * ROUNDS;

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    println!("Median ns per request of {} turns.\n", ROUNDS - 1);
    for algorithm in ALGORITHMS.into_iter().filter(|one| wanted(one.as_str())) {
        let tokens = Tokens::new(algorithm, TOKENS);
        runtime.block_on(compare(&tokens));
    }
}

async fn compare(tokens: &Tokens) {
    let mut contenders = peers::all(tokens).await;
    let mut columns = Vec::new();
    for case in Case::ALL {
        check(&mut contenders, tokens, case).await;
        columns.push(measure(&mut contenders, tokens, case).await);
    }
    print!("| {:33} |", tokens.algorithm.as_str());
    Case::ALL
        .iter()
        .for_each(|case| print!(" {} |", case.name()));
    println!("\n|{:-<35}|{}", "", "---:|".repeat(Case::ALL.len()));
    for (index, contender) in contenders.iter().enumerate() {
        print!("| {:33} |", contender.name);
        for (case, column) in Case::ALL.into_iter().zip(&columns) {
            let width = case.name().len();
            print!(" {:width$.0} |", column[index]);
        }
        println!();
    }
    summary(tokens, &contenders, &columns[0]);
}

/// Checks that each contender accepts good tokens and refuses all others.
async fn check(contenders: &mut [Contender], tokens: &Tokens, case: Case) {
    // The last token is not used before the contender's own rounds.
    for contender in contenders.iter_mut().filter(|one| one.verifies()) {
        let judged = contender.lets_through(tokens.last(case)).await;
        let expected = case.is_good() || (case == Case::Expired && contender.ignores_claims());
        assert_eq!(judged, expected, "{}: {}", contender.name, case.name());
    }
}

/// Returns the median of each contender.
async fn measure(contenders: &mut [Contender], tokens: &Tokens, case: Case) -> Vec<f64> {
    let batch = tokens.distinct() / ROUNDS;
    if case == Case::Rotation {
        // All tokens were seen once. A cache may need to see them two or three times.
        for contender in contenders.iter_mut().filter(|one| one.is_ours()) {
            for request in (0..tokens.distinct()).cycle().take(10 * tokens.distinct()) {
                contender
                    .lets_through(tokens.credentials(case, request))
                    .await;
            }
        }
    }
    let mut samples = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..ROUNDS {
        for turn in 0..contenders.len() {
            // Each round begins with another contender.
            let index = (turn + round) % contenders.len();
            let contender = &mut contenders[index];
            let start = Instant::now();
            for request in round * batch..(round + 1) * batch {
                let credentials = tokens.credentials(case, request);
                std::hint::black_box(contender.lets_through(credentials).await);
            }
            samples[index].push(start.elapsed().as_nanos() as f64 / batch as f64);
        }
    }
    samples
        .into_iter()
        .map(|mut samples| {
            let measured = &mut samples[1..];
            measured.sort_by(f64::total_cmp);
            measured[measured.len() / 2]
        })
        .collect()
}

/// Prints the cost of a token's first use beyond the unavoidable minimum, and next to the fastest peer.
fn summary(tokens: &Tokens, contenders: &[Contender], first: &[f64]) {
    let of = |name: &str| {
        let index = contenders.iter().position(|one| one.name == name);
        first[index.expect("a contender")]
    };
    let (router, signature, ours) = (of(ROUTER), of(SIGNATURE), of(OURS));
    let (name, fastest) = contenders
        .iter()
        .zip(first)
        .filter(|(one, _)| one.is_routed() && one.verifies() && !one.is_ours())
        .map(|(one, time)| (one.name, *time))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
        .expect("a peer");
    println!(
        "\n{}, first use: {:.2} of the fastest peer ({name}); signature + {:.0} ns, of which \
         the router takes {router:.0}.\n",
        tokens.algorithm,
        ours / fastest,
        ours - signature,
    );
}
