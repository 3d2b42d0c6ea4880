use super::*;

const EXAMPLE: &str = include_str!("../../docs/provost.example.toml");

/// Every key there is. A struct pattern without `..` beside it: a new field fails to compile here
/// until it is named, and is then looked for in the example.
fn keys(config: &Config) -> Vec<&'static str> {
    let Config {
        data_dir: _,
        region: _,
        arbiters: _,
        drain_ms: _,
        runtime:
            RuntimePort {
                listen: _,
                names: _,
                advertise: _,
            },
        admin: AdminPort {
            listen: _,
            allowed_hosts: _,
        },
        idp: Idp { allow_private: _ },
        log: Log {
            format: _,
            level: _,
        },
        limits:
            Limits {
                connections_max: _,
                connection_requests_per_second: _,
                connection_burst: _,
                tenant_requests_per_second: _,
                tenant_burst: _,
                disk_free_bytes_min: _,
                disk_low_bytes: _,
                admin_requests_per_second: _,
                admin_burst: _,
                enrolments_per_second: _,
                enrolments_per_address_per_second: _,
            },
        // No key of the file.
        segment_bytes_max: _,
    } = config;
    vec![
        "data_dir",
        "region",
        "arbiters",
        "drain_ms",
        "runtime.listen",
        "runtime.names",
        "runtime.advertise",
        "admin.listen",
        "admin.allowed_hosts",
        "idp.allow_private",
        "log.format",
        "log.level",
        "limits.connections_max",
        "limits.connection_requests_per_second",
        "limits.connection_burst",
        "limits.tenant_requests_per_second",
        "limits.tenant_burst",
        "limits.disk_free_bytes_min",
        "limits.disk_low_bytes",
        "limits.admin_requests_per_second",
        "limits.admin_burst",
        "limits.enrolments_per_second",
        "limits.enrolments_per_address_per_second",
    ]
}

/// The example with its absent keys made present.
fn uncommented() -> String {
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest)
            if rest.split_once(" = ").is_some_and(|(key, _)| {
                key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            }) =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE
        .lines()
        .map(uncomment)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_annotated_example_loads_and_says_the_defaults() {
    let config = Config::from_toml(EXAMPLE, "example").unwrap();
    assert_eq!(config, Config::new("/var/lib/provost"));
}

#[test]
fn every_key_stands_in_the_example_and_can_be_set() {
    let text = uncommented();
    let config = Config::from_toml(&text, "example").unwrap();
    for key in keys(&config) {
        assert!(
            place::start_of(&text, key).is_some(),
            "{key} is not in the example"
        );
    }
    assert_eq!(config.region.as_deref(), Some("eu"));
    assert_eq!(config.advertised(1), "kernel.example:7443");
}

#[test]
fn the_advertised_address_is_the_first_name_with_the_bound_port() {
    let mut config = Config::new("d");
    assert_eq!(config.advertised(7443), "localhost:7443");
    config.runtime.names = vec!["::1".to_owned()];
    assert_eq!(config.advertised(5), "[::1]:5");
}

#[test]
fn a_bad_configuration_is_refused_with_file_line_and_key() {
    let data = "data_dir = \"d\"\n";
    for (text, said) in [
        (
            "listen_on = 1\n".to_owned() + data,
            "conf.toml, line 1: unknown field `listen_on`",
        ),
        (
            data.to_owned() + "[runtime]\nport = 1\n",
            "conf.toml, line 3: unknown field `port`",
        ),
        (
            data.to_owned() + "[limits]\n\nadmin_burst = 0\n",
            "conf.toml, line 4: admin_burst",
        ),
        ("data_dir = 7\n".to_owned(), "conf.toml, line 1: data_dir"),
        (data.to_owned() + "data_dir = \"e\"\n", "conf.toml, line 2"),
        ("".to_owned(), "missing field `data_dir`"),
        (
            "data_dir = \"\"\n".to_owned(),
            "conf.toml, line 1: data_dir",
        ),
        (data.to_owned() + "arbiters = 0\n", "line 2: arbiters"),
        (data.to_owned() + "region = \" \"\n", "line 2: region"),
        (data.to_owned() + "drain_ms = 0\n", "line 2: drain_ms"),
        (
            data.to_owned() + "drain_ms = 99999999\n",
            "line 2: drain_ms",
        ),
        (
            data.to_owned() + "[admin]\n# why not\nlisten = \"0.0.0.0:7480\"\n",
            "conf.toml, line 4: admin.listen must be a loopback address",
        ),
        (
            data.to_owned() + "[admin]\nlisten = \"localhost\"\n",
            "line 3: listen",
        ),
        (
            data.to_owned() + "[admin]\nallowed_hosts = [\"http://x\"]\n",
            "line 3: admin.allowed_hosts",
        ),
        (
            data.to_owned() + "[runtime]\nnames = []\n",
            "line 3: runtime.names",
        ),
        (
            data.to_owned() + "[runtime]\nadvertise = \"host\"\n",
            "line 3: runtime.advertise",
        ),
        (
            data.to_owned() + "[log]\nformat = \"xml\"\n",
            "line 3: format",
        ),
        (
            data.to_owned() + "[log]\nlevel = \"=,=\"\n",
            "line 3: log.level",
        ),
        (
            data.to_owned() + "[idp]\nallow_private = 1\n",
            "line 3: allow_private",
        ),
        (
            data.to_owned() + "[limits]\ndisk_free_bytes_min = 10\ndisk_low_bytes = 10\n",
            "line 4: limits.disk_low_bytes must be more",
        ),
        (
            data.to_owned() + "[limits]\ntenant_burst = 250\n",
            "line 3: limits.tenant_burst must be at least 251",
        ),
        ("data_dir".to_owned(), "conf.toml, line 1"),
    ] {
        let error = Config::from_toml(&text, "conf.toml")
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{text:?} gave {error}");
        assert!(error.contains("conf.toml"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("no/such/provost.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such/provost.toml");
}
