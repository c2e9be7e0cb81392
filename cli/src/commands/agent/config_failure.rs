//! Mistakes of an agent's configuration, all at once.

use russet_launch_agent::config::ConfigError;

use crate::error::CliError;
use crate::exit::Exit;
use crate::render::numbers;

/// Tells a person what is wrong with a configuration.
pub(super) fn config_failure(error: &ConfigError) -> CliError {
    let all = error.all();
    if let [only] = all.as_slice() {
        return CliError::new(Exit::BadConfig, only.to_string())
            .maybe_hint(only.hint().map(str::to_owned));
    }
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let described = all.iter().map(|error| {
        let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        format!("error: {error}{hint}")
    });
    let message = format!("the configuration has {}", numbers::counted(count, "mistake"));
    CliError::new(Exit::BadConfig, message).details(described.collect())
}
