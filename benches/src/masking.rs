//! Cost of masking: the same output, copied and masked for different numbers of secrets.

use std::time::{Duration, Instant};

use anyhow::Result;
use russet_protocol::secret::Secret;
use russet_task_agent::mask::Masks;

/// Bytes that the reader of a terminal takes at once.
const PIECE: usize = 64 * 1024;

/// Prints rates for `pieces` pieces of output of several kinds.
pub(crate) fn measure(pieces: usize) -> Result<()> {
    let words =
        "warning: unused variable `result` in src/main.rs:17, note: `#[warn]` on by default\n";
    let base64 =
        "UmVkIHNreSBhdCBuaWdodCwgc2FpbG9ycycgZGVsaWdodDsgcmVkIHNreSBpbiB0aGUgbW9ybmluZy4\n";
    println!(
        "{:<12} {:>10} {:>12} {:>12} {:>12}",
        "", "copied", "1 secret", "10 secrets", "200 secrets"
    );
    for (name, line) in [("text", words), ("base64", base64)] {
        let piece: Vec<u8> = line.bytes().cycle().take(PIECE).collect();
        let mut row = format!("{name:<12}");
        for count in [0, 1, 10, 200] {
            let secrets: Vec<Secret> =
                (0..count).map(|n| Secret::new(format!("S3cr3t/{n:05}+key of {n}'s"))).collect();
            let masks = Masks::new(&secrets)?;
            let took = fastest(|| mask(&masks, &piece, pieces));
            let rate = (piece.len() * pieces) as f64 / 1e6 / took.as_secs_f64();
            row.push_str(&format!(" {rate:>7.0} MB/s"));
        }
        println!("{row}");
    }
    let secrets: Vec<Secret> =
        (0..200).map(|n| Secret::new(format!("S3cr3t/{n:05}+key of {n}'s"))).collect();
    let start = Instant::now();
    Masks::new(&secrets)?;
    println!("preparing 200 secrets: {:.1} ms, once a task", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn mask(masks: &Masks, piece: &[u8], pieces: usize) -> usize {
    let (mut masker, mut out, mut total) = (masks.masker(), Vec::with_capacity(PIECE * 2), 0);
    for _ in 0..pieces {
        masker.push(piece, &mut out);
        total += std::hint::black_box(&out).len();
        out.clear();
    }
    masker.finish(&mut out);
    total + out.len()
}

/// The best of a few: others on the machine only make it slower.
fn fastest(work: impl Fn() -> usize) -> Duration {
    let run = || {
        let start = Instant::now();
        std::hint::black_box(work());
        start.elapsed()
    };
    (0..5).map(|_| run()).min().unwrap_or_default()
}
