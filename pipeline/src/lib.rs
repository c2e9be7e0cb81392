//! Compiles a project's `.circleci/config.yml` to jobs with steps.
//!
//! Pure: text in, jobs or errors out. No I/O, no clock, no async. Every error has a place.
