//! The command line of the helpers: names and flags are CircleCI's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Requests of steps to their runner.
#[derive(clap::Parser, Debug)]
#[command(about = "What a step can ask its runner for", version, disable_help_subcommand = true)]
pub(super) struct Helper {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Controls the job from here on
    #[command(subcommand)]
    Step(Step),
    /// Find tests, and share them between the parallel runs of a job
    #[command(subcommand)]
    Tests(Tests),
    /// Environment variables
    #[command(subcommand)]
    Env(Env),
    /// How long a task that was rerun with SSH is held for whoever logs in
    #[command(subcommand)]
    Ssh(Ssh),
    /// Print the version of this helper, which is Russet's
    Version,
    /// Say which configuration the pipeline of this setup goes on with
    #[command(
        after_help = "Example:\n  circleci-agent continue .circleci/next.yml --parameters '{\"deploy\": true}'"
    )]
    Continue {
        /// The file of the configuration
        file: PathBuf,
        /// Values of its parameters: a JSON object, or the name of a file of one
        #[arg(long, value_name = "JSON|FILE")]
        parameters: Option<String>,
    },
}

#[derive(clap::Subcommand, Debug)]
pub(super) enum Step {
    /// End the job as it stands, without running another step
    Halt,
}

#[derive(clap::Subcommand, Debug)]
pub(super) enum Tests {
    /// List the files that match patterns, one a line
    #[command(
        after_help = "Patterns: `*` and `?` match within a name, `**` any number of folders, \
                      `[abc]` one of some characters, `{a,b}` either. Quote them, or the shell \
                      takes them.\n\nExample:\n  circleci tests glob \"spec/**/*_{spec,test}.rb\""
    )]
    Glob {
        /// The patterns
        #[arg(required = true)]
        patterns: Vec<OsString>,
    },
    /// Print the part of a list of tests that is for this parallel run
    #[command(
        after_help = "Examples:\n  circleci tests glob \"test/**/*.py\" | circleci tests split \
                      --split-by=timings\n  circleci tests split --index=1 --total=4 tests.txt"
    )]
    Split {
        /// Files with the tests, one a line; without any, or for `-`, standard input
        files: Vec<PathBuf>,
        /// Say on standard error how many tests there are and how many of them are printed
        #[arg(long)]
        show_counts: bool,
        #[command(flatten)]
        how: How,
    },
    /// Run a command for the part of a list of tests that is for this parallel run
    #[command(
        after_help = "The command gets the tests on its standard input, with spaces between; it is \
                      not run where there are none.\n\nExample:\n  circleci tests glob \
                      \"test/**/*.js\" | circleci tests run --command=\"xargs npx jest\" \
                      --split-by=timings"
    )]
    Run {
        /// The command, for a shell
        #[arg(long)]
        command: OsString,
        /// Files with the tests; without any, or for `-`, standard input
        files: Vec<PathBuf>,
        /// Say on standard error what is run and why
        #[arg(short, long)]
        verbose: bool,
        #[command(flatten)]
        how: How,
    },
}

#[derive(clap::Subcommand, Debug)]
pub(super) enum Env {
    /// Replace `$NAME` and `${NAME}` in a text by the values of variables
    #[command(after_help = "Also `${NAME:-default}`, `${NAME-default}`, `${NAME:=default}`, \
                      `${NAME:+other}` and `${NAME+other}`; `$$` is a dollar.")]
    Subst {
        /// The text; without any, standard input
        text: Vec<OsString>,
    },
}

#[derive(clap::Subcommand, Debug)]
pub(super) enum Ssh {
    /// Hold the task for longer
    Extend {
        /// The time to add, such as `30m` or `2h`
        #[arg(default_value = "30m", value_parser = russet_text::parse_duration)]
        by: Duration,
    },
    /// End the hold: sessions are cut off, and the task ends with the outcome of its steps
    End,
}

/// Options for sharing a list.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct How {
    /// Which of the parallel runs this is, from 0
    #[arg(long, env = "CIRCLE_NODE_INDEX", default_value_t = 0, hide_env_values = true)]
    pub(super) index: usize,
    /// Number of parallel runs
    #[arg(long, env = "CIRCLE_NODE_TOTAL", default_value_t = 1, hide_env_values = true)]
    pub(super) total: usize,
    /// Measure by which the parts are made equal
    #[arg(long, value_enum, default_value_t = SplitBy::Name)]
    pub(super) split_by: SplitBy,
    /// Names of the tests, for their times
    #[arg(long, value_enum, default_value_t = TimingsType::Autodetect)]
    pub(super) timings_type: TimingsType,
    /// Duration of a test without a known time, such as `10s`; default: the mean
    #[arg(long, value_parser = russet_text::parse_duration)]
    pub(super) time_default: Option<Duration>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SplitBy {
    /// Number of tests, in the order of their names
    Name,
    /// Their sizes as files
    #[value(name = "filesize", alias = "size")]
    FileSize,
    /// Earlier durations
    Timings,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimingsType {
    /// Whatever most of them are known by
    Autodetect,
    /// Paths of files
    #[value(name = "filename", alias = "file")]
    File,
    /// Names of classes
    #[value(name = "classname")]
    Class,
    /// Names of tests
    #[value(name = "testname", alias = "name")]
    Test,
}

#[cfg(test)]
mod tests {
    use super::{How, SplitBy, TimingsType};

    /// The default of the other modules' tests.
    impl Default for How {
        fn default() -> Self {
            Self {
                index: 0,
                total: 1,
                split_by: SplitBy::Name,
                timings_type: TimingsType::Autodetect,
                time_default: None,
            }
        }
    }
}
