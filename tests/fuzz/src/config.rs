//! The kernel's configuration file.

use provost::config::Config;

/// Reads any text as a configuration; what is taken can be used.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::from_toml(text, "fuzz.toml") {
        Ok(config) => assert!(config.check().is_ok()),
        Err(error) => assert!(error.to_string().starts_with("fuzz.toml")),
    }
}
