//! A control plane under pressure: what a person waits for beside idle claims, slow readers and
//! hostile connections, and how long whole pipelines of many jobs take.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::latency::one_step;
use crate::process::usage;
use crate::rig::{CLASS, Rig};
use crate::stats::Samples;

/// Requests of a person in each state.
const REQUESTS: usize = 200;

/// Measures with `count` idle claims, and half as many slow readers and hostile connections.
pub(crate) async fn measure(russet: &Path, count: usize) -> Result<()> {
    let mut rig = Rig::start(russet).await?;
    let resident = |rig: &Rig| usage(rig.server_pid()).unwrap_or_default().rss_kib as f64 / 1024.0;
    let before = resident(&rig);
    let (mut alone, mut pressed) = (Samples::default(), Samples::default());
    request_all(&rig, &mut alone).await?;
    let agent = rig.start_agent(1)?;
    let job = rig.client.submit(&one_step("yes russet | head -c 8000000")).await?;
    let job = rig.client.watch(&job).await?.pipeline.workflows[0].jobs[0].id.to_string();
    rig.stop_agent(agent)?;
    let mut held = Vec::new();
    let (token, admin) = (rig.class_token().to_owned(), rig.client.token().to_owned());
    for number in 0..count {
        let body = format!(r#"{{"name":"idle-{number}","hostname":"","ip":"","version":"1"}}"#);
        let head = format!(
            "POST /api/v3/runner/claim HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             prefer: wait=55\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        held.push(open(&rig, &head).await?);
    }
    for _ in 0..count / 2 {
        let head = format!(
            "GET /api/v3/jobs/{job}/stdout?follow=true HTTP/1.1\r\nhost: x\r\n\
             circle-token: {admin}\r\n\r\n"
        );
        held.push(open(&rig, &head).await?);
        // Announces a body that never comes.
        let head = "POST /api/v2/pipeline/continue HTTP/1.1\r\nhost: x\r\n\
                    content-length: 8000000\r\n\r\n{";
        held.push(open(&rig, head).await?);
    }
    request_all(&rig, &mut pressed).await?;
    alone.print("a person's request, nothing else");
    pressed.print("… under pressure");
    println!("connections                         {}", held.len());
    println!("resident memory of the server       {before:.1} MB, {:.1} MB", resident(&rig));
    drop(held);
    for jobs in [count, count * 5] {
        whole_pipeline(&rig, jobs).await?;
    }
    Ok(())
}

async fn open(rig: &Rig, head: &str) -> Result<TcpStream> {
    let address = rig.client.url().strip_prefix("http://").context("another scheme")?;
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

async fn request_all(rig: &Rig, samples: &mut Samples) -> Result<()> {
    for _ in 0..REQUESTS {
        let start = Instant::now();
        rig.client.list_pipelines().await?;
        samples.push(start.elapsed());
    }
    Ok(())
}

/// Submits and cancels a pipeline of `count` jobs that nobody takes.
async fn whole_pipeline(rig: &Rig, count: usize) -> Result<()> {
    let mut config = format!(
        "version: 2.1\njobs:\n  one:\n    machine: true\n    resource_class: {CLASS}\n    \
         steps: [run: 'true']\nworkflows:\n  main:\n    jobs:\n"
    );
    for number in 0..count {
        writeln!(config, "      - one: {{name: j{number}}}")?;
    }
    let start = Instant::now();
    let pipeline = rig.client.submit(&config).await?;
    let submitted = start.elapsed();
    let start = Instant::now();
    rig.client.cancel(&pipeline).await?;
    println!(
        "a pipeline of {count:>6} jobs            submit {:>8.0} ms   cancel {:>8.0} ms",
        submitted.as_secs_f64() * 1e3,
        start.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}
