//! Jobs with known output.
//!
//! Every line names its job, its task and its number, and carries a number that is computed from
//! these: lost, doubled and foreign bytes are seen, and so is a line that was put together from
//! two.

use std::fmt::Write as _;
use std::path::Path;

use russet_protocol::outcome::Outcome;

/// Class of the hosts that share the ordinary tasks.
pub const CLASS: &str = "chaos/tasks";

/// Class of the host with the small disk.
pub const SMALL_CLASS: &str = "chaos/small";

/// Exit code of the step that fails.
const FAILS_WITH: i32 = 3;

/// What a job is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ends at once.
    Quick,
    /// Prints for a second or two.
    Slow,
    /// Prints much.
    Bulk,
    /// Has several steps.
    Steps,
    /// Fails, and has a step that runs all the same.
    Failing,
    /// Leaves files, processes, IPC objects and keys behind.
    Litter,
    /// Stores an artifact.
    Artifact,
    /// Has two tasks.
    Parallel,
    /// Prints for a second, on the host with the small disk.
    OnSmallDisk,
    /// Fills the small disk.
    FillsDisk,
}

impl Kind {
    /// Number of its tasks.
    pub fn parallelism(self) -> usize {
        if self == Self::Parallel { 2 } else { 1 }
    }

    fn class(self) -> &'static str {
        if matches!(self, Self::OnSmallDisk | Self::FillsDisk) { SMALL_CLASS } else { CLASS }
    }

    /// Outcome where no fault ends it.
    pub fn outcome(self) -> Outcome {
        if matches!(self, Self::Failing | Self::FillsDisk) {
            Outcome::Failed
        } else {
            Outcome::Success
        }
    }

    /// Number of the lines that each step prints.
    fn line_counts(self) -> &'static [u64] {
        match self {
            Self::Quick => &[3],
            Self::Slow | Self::Parallel => &[80],
            Self::Bulk => &[12_000],
            Self::Steps => &[20, 20, 20],
            Self::Failing | Self::Litter | Self::Artifact => &[20, 10],
            Self::OnSmallDisk => &[40],
            Self::FillsDisk => &[],
        }
    }

    /// Numbers of the lines that each step prints: they go on from step to step.
    fn printed(self) -> Vec<std::ops::Range<u64>> {
        let mut next = 0;
        let lines = |count: &u64| {
            let from = next;
            next += count;
            from..next
        };
        self.line_counts().iter().map(lines).collect()
    }

    /// Returns true if it pauses between its lines, so that faults meet it.
    fn pauses(self) -> bool {
        !matches!(self, Self::Quick | Self::Bulk)
    }
}

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number in the run, which its output names.
    pub key: u64,
    /// What it is like.
    pub kind: Kind,
}

/// Jobs that are submitted as one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// Output of a step: the number of the step and its bytes.
pub type Printed = (u32, Vec<u8>);

impl Job {
    /// Its name in the configuration.
    pub fn name(&self) -> String {
        format!("j{}", self.key)
    }

    /// Output of one of its tasks, step by step.
    pub fn output(&self, task: u64) -> Vec<Printed> {
        let print = |lines: std::ops::Range<u64>| -> Vec<u8> {
            lines.map(|line| line_of(self.key, task, line)).collect::<String>().into_bytes()
        };
        (1..).zip(self.kind.printed().into_iter().map(print)).collect()
    }

    /// Bytes of its artifact, where it has one.
    pub fn artifact(&self) -> Option<Vec<u8>> {
        let lines = || (0..500).map(|line| line_of(self.key, 0, line)).collect::<String>();
        (self.kind == Kind::Artifact).then(|| lines().into_bytes())
    }

    fn write_config(&self, ran: &Path, text: &mut String) {
        let (name, class) = (self.name(), self.kind.class());
        writeln!(text, "  {name}:\n    machine: true\n    resource_class: {class}").unwrap();
        if self.kind.parallelism() > 1 {
            writeln!(text, "    parallelism: {}", self.kind.parallelism()).unwrap();
        }
        text.push_str("    steps:\n");
        let begins = format!("echo \"{} $CIRCLE_NODE_INDEX\" >> {}", self.key, ran.display());
        if self.kind == Kind::FillsDisk {
            write_step(text, "", &format!("{begins}\n{FILL}"));
        }
        for (index, lines) in self.kind.printed().into_iter().enumerate() {
            let mut script = String::new();
            if index == 0 {
                writeln!(script, "{begins}").unwrap();
                script.push_str(&self.preparation());
            }
            script.push_str(&print_lines(self.key, &lines, self.kind.pauses()));
            if self.kind == Kind::Failing && index == 0 {
                writeln!(script, "exit {FAILS_WITH}").unwrap();
            }
            write_step(text, if index > 0 { "always" } else { "" }, &script);
        }
        if self.kind == Kind::Artifact {
            text.push_str("      - store_artifacts: {path: lines, destination: lines}\n");
        }
    }

    /// Shell text before its first line.
    fn preparation(&self) -> String {
        match self.kind {
            Kind::Litter => crate::litter::script(self.key),
            Kind::Artifact => {
                format!("{{\n{}}} > lines\n", print_lines(self.key, &(0..500), false))
            }
            _ => String::new(),
        }
    }
}

/// Shell text that writes until there is no room, and fails.
const FILL: &str = "head -c 1000000000 /dev/zero > big\nexit 4";

impl Batch {
    /// Number of its tasks.
    pub fn tasks(&self) -> usize {
        self.jobs.iter().map(|job| job.kind.parallelism()).sum()
    }

    /// Its configuration. Each task adds a line to the file `ran` when it begins.
    pub fn config(&self, ran: &Path) -> String {
        let mut text = "version: 2.1\njobs:\n".to_owned();
        for job in &self.jobs {
            job.write_config(ran, &mut text);
        }
        let names: Vec<String> = self.jobs.iter().map(Job::name).collect();
        writeln!(text, "workflows:\n  main:\n    jobs: [{}]", names.join(", ")).unwrap();
        text
    }
}

fn write_step(text: &mut String, when: &str, script: &str) {
    text.push_str("      - run:\n");
    if !when.is_empty() {
        writeln!(text, "          when: {when}").unwrap();
    }
    text.push_str("          command: |\n");
    for line in script.lines() {
        writeln!(text, "            {line}").unwrap();
    }
}

/// A line of output.
fn line_of(key: u64, task: u64, line: u64) -> String {
    format!("chaos {key}.{task} {line} {}\n", check_number(key, task, line))
}

fn check_number(key: u64, task: u64, line: u64) -> u64 {
    let mixed = (key * 7919 + task * 104_729 + line * 611_953) % 1_000_003;
    mixed * mixed % 1_000_003
}

/// Shell text that prints what [`line_of`] returns for these lines.
fn print_lines(key: u64, lines: &std::ops::Range<u64>, pauses: bool) -> String {
    let pause = if pauses { "; sleep 0.015" } else { "" };
    format!(
        "t=$CIRCLE_NODE_INDEX\n\
         for ((i={from}; i<{to}; i++)); do h=$((({key}*7919 + t*104729 + i*611953) % 1000003)); \
         echo \"chaos {key}.$t $i $((h*h % 1000003))\"{pause}; done\n",
        from = lines.start,
        to = lines.end,
    )
}

#[test]
fn the_shell_prints_the_lines_that_are_expected() {
    let script = print_lines(17, &(3..9), false);
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .env("CIRCLE_NODE_INDEX", "1")
        .output()
        .unwrap();
    let expected: String = (3..9).map(|line| line_of(17, 1, line)).collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
