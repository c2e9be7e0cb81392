//! Settings of updates.

use std::time::Duration;

use super::build::Build;
use super::error::ConfigError;
use crate::update::{Host, Keys, Settings};

/// Sources are asked no more often.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(60);

/// A version that starts on a busy machine needs as long to prove itself.
const SHORTEST_PROBATION: Duration = Duration::from_secs(10);

impl Build<'_> {
    pub(super) fn update(&self) -> Result<Settings, ConfigError> {
        let values = self.values;
        let usual = Settings::default();
        let wrong = |key: &str, message: String, hint: &str| {
            Err(values.error(self.file, key, &message, Some(hint)))
        };
        let source = match values.text("update.source").map(|text| text.parse()) {
            None => None,
            Some(Ok(source)) => Some(source),
            Some(Err(error)) => {
                let hint = "write `control-plane`, `https://…`, `github:OWNER/REPOSITORY` or \
                            `s3://BUCKET/PREFIX?region=REGION`";
                return wrong("update.source", format!("{error}"), hint);
            }
        };
        let mut hosts = Vec::new();
        for text in values.words("update.hosts").unwrap_or_default() {
            match text.parse::<Host>() {
                Ok(host) => hosts.push(host),
                Err(error) => {
                    let hint = "write `cdn.example.com`, or `cdn.example.com:8443`";
                    return wrong("update.hosts", format!("{error}"), hint);
                }
            }
        }
        // Off is off: nothing is asked, fetched or installed.
        let source = source.filter(|_| values.flag("runner.disable_auto_update") != Some(true));
        let window = match values.text("update.window").map(|text| text.parse()) {
            None => None,
            Some(Ok(window)) => Some(window),
            Some(Err(error)) => {
                let hint = "write `02:00-04:00`, or `Sun 02:00-04:00` for one day of the week";
                return wrong("update.window", format!("{error}"), hint);
            }
        };
        let keys = match values.text("update.keys_file") {
            None => Keys::compiled_in(),
            Some(text) => match Keys::compiled_in().and_of_file(&self.path(&text)) {
                Ok(keys) => keys,
                Err(error) => {
                    let hint = "whoever can write this file decides what root runs";
                    return wrong("update.keys_file", format!("cannot be used: {error}"), hint);
                }
            },
        };
        if source.is_some() && keys.is_empty() {
            let hint = "name the public key of whoever signs your releases in `update.keys_file`";
            let message = "is for nothing: this build has no keys of its own".to_owned();
            return wrong("update.source", message, hint);
        }
        let interval = values.duration("update.interval").unwrap_or(usual.interval);
        if interval < SHORTEST_INTERVAL {
            let message = "must be a minute or longer".to_owned();
            return wrong("update.interval", message, "write it as `1h`");
        }
        let probation = values.duration("update.probation").unwrap_or(usual.probation);
        if probation < SHORTEST_PROBATION {
            let message = "must be ten seconds or longer".to_owned();
            return wrong("update.probation", message, "write it as `5m`");
        }
        Ok(Settings {
            source,
            hosts,
            channel: values.text("update.channel").unwrap_or(usual.channel),
            keys,
            interval,
            auto: values.flag("update.auto").unwrap_or(usual.auto),
            window,
            probation,
            ca_file: values.text("api.ca_file").map(|path| self.path(&path)),
        })
    }
}
