//! Output of 50 tasks at once, in the pieces and the compression that agents send.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use russet_protocol::UPLOAD_OFFSET_HEADER;
use russet_protocol::runner::ClaimResponse;

use super::agents::{Agent, connect_all};
use super::servers::Servers;
use crate::rig::CLASS;

/// Number of tasks.
const TASKS: usize = 50;

/// Number of pieces of each task.
const PIECES: usize = 10;

/// Length of a piece before compression: the most that an agent sends.
const PIECE: usize = 1024 * 1024;

/// Level of compression of an agent.
const LEVEL: i32 = 1;

/// Measures.
pub(super) async fn measure(servers: &Servers, scale: usize) -> Result<()> {
    let config = format!(
        "version: 2.1\njobs:\n  one:\n    machine: true\n    resource_class: {CLASS}\n    \
         parallelism: {TASKS}\n    steps: [run: 'true']\nworkflows:\n  main:\n    jobs: [one]\n"
    );
    let pipeline = servers.client.submit(&config).await?;
    let mut agents = connect_all(servers, TASKS).await?;
    let claim = async |agent: &mut Agent| agent.claim(10).await?.context("no task came");
    let tasks = try_join_all(agents.iter_mut().map(claim)).await?;
    let piece = compiler_output();
    let packed = zstd::bulk::compress(&piece, LEVEL)?;
    let pieces = (PIECES / scale).max(1);
    let start = Instant::now();
    let send = |(agent, task)| send_output(agent, task, pieces, &packed);
    try_join_all(agents.iter_mut().zip(&tasks).map(send)).await?;
    let took = start.elapsed().as_secs_f64();
    for (agent, task) in agents.iter_mut().zip(&tasks) {
        agent.finish(task).await?;
    }
    let job = pipeline.workflows.first().and_then(|workflow| workflow.jobs.first());
    let job = servers.client.job(&job.context("a pipeline without a job")?.id).await?;
    let (stored, sent): (u64, usize) =
        (job.steps.iter().map(|step| step.output_bytes).sum(), TASKS * pieces * PIECE);
    ensure!(stored == sent as u64, "{stored} bytes were stored of {sent}");
    println!(
        "output of 50 tasks at once          {:>8.1} MB/s, {:.1} compressed",
        sent as f64 / 1e6 / took,
        (TASKS * pieces * packed.len()) as f64 / 1e6 / took
    );
    Ok(())
}

async fn send_output(
    agent: &mut Agent,
    task: &ClaimResponse,
    pieces: usize,
    packed: &[u8],
) -> Result<()> {
    for number in 0..pieces {
        let offset = number * PIECE;
        let head = format!("{UPLOAD_OFFSET_HEADER}: {offset}\r\ncontent-encoding: zstd\r\n");
        agent.ask_for(task, "PATCH /api/v3/task/steps/1/output", &head, packed).await?;
    }
    Ok(())
}

/// Lines as compilers print them, of the length of a piece.
fn compiler_output() -> Vec<u8> {
    let mut text = String::with_capacity(PIECE + 200);
    let mut number = 0_u32;
    while text.len() < PIECE {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Writing to a text does not fail.
        let _written = writeln!(
            text,
            "CompileSwift normal arm64 /Users/ci/project/Sources/Module{}/File{number:x}.swift",
            number >> 24
        );
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(PIECE);
    bytes
}
