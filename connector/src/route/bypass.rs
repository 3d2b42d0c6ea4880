//! `NO_PROXY`: what is dialled straight although there is a proxy.
//!
//! There is no standard; this is what curl and Go's net/http agree on, and their union where they
//! do not: names with their subdomains whether a dot leads or not, addresses, networks, `*`.

use std::net::IpAddr;

/// A list of exceptions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass(Vec<Exception>);

#[derive(Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Network { base: IpAddr, bits: u8 },
    Domain { name: String, port: Option<String> },
}

impl Bypass {
    /// Reads a list; what is no exception matches nothing, as with everybody else.
    pub(super) fn parse(text: &str) -> Self {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        Self(words.filter_map(exception).collect())
    }

    /// Whether `addr` (`host:port`) is dialled straight.
    pub(super) fn holds(&self, addr: &str) -> bool {
        let (host, port) = split(addr);
        let host = normal(host);
        let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        // A proxy elsewhere cannot lead back to this machine; Go has the same rule.
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        self.0.iter().any(|exception| match exception {
            Exception::Everything => true,
            Exception::Network { base, bits } => ip.is_some_and(|ip| shares(ip, *base, *bits)),
            Exception::Domain { name, port: only } => {
                only.as_deref().is_none_or(|only| Some(only) == port)
                    && (host == *name
                        || host
                            .strip_suffix(name.as_str())
                            .is_some_and(|rest| rest.ends_with('.')))
            }
        })
    }
}

fn exception(word: &str) -> Option<Exception> {
    if word == "*" {
        return Some(Exception::Everything);
    }
    if let Some((base, bits)) = word.split_once('/') {
        let base: IpAddr = base.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        return (bits <= most).then_some(Exception::Network { base, bits });
    }
    let bare = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(word).parse::<IpAddr>() {
        let base = ip.to_canonical();
        let bits = if base.is_ipv4() { 32 } else { 128 };
        return Some(Exception::Network { base, bits });
    }
    let (name, port) = split(word);
    let port = port.map(str::to_owned);
    let name = normal(name.strip_prefix("*").unwrap_or(name));
    let name = name.strip_prefix('.').unwrap_or(&name).to_owned();
    (!name.is_empty()).then_some(Exception::Domain { name, port })
}

fn split(addr: &str) -> (&str, Option<&str>) {
    let (host, port) = match addr.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (addr, None),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    (bare.unwrap_or(host), port)
}

/// Names differ by neither case nor a dot at the end.
fn normal(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

fn shares(ip: IpAddr, base: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (ip, base) {
        (IpAddr::V4(ip), IpAddr::V4(base)) => {
            let differ = u32::from(ip) ^ u32::from(base);
            differ.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(base)) => {
            let differ = u128::from(ip) ^ u128::from(base);
            differ.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_holds_for_what_it_names_and_nothing_else() {
        for (list, addr, straight) in [
            ("", "kernel.example:7443", false),
            ("*", "kernel.example:7443", true),
            ("kernel.example", "kernel.example:7443", true),
            ("Kernel.Example.", "kernel.example:7443", true),
            ("example", "kernel.example:7443", true),
            (".example", "kernel.example:7443", true),
            (".kernel.example", "kernel.example:7443", true),
            ("*.example", "kernel.example:7443", true),
            ("nel.example", "kernel.example:7443", false),
            ("kernel.example", "example:7443", false),
            ("kernel.example:7443", "kernel.example:7443", true),
            ("kernel.example:443", "kernel.example:7443", false),
            ("a, kernel.example b", "kernel.example:7443", true),
            ("10.0.0.0/8", "10.1.2.3:7443", true),
            ("10.0.0.0/8", "11.1.2.3:7443", false),
            ("0.0.0.0/0", "11.1.2.3:7443", true),
            ("10.0.0.0/33", "10.0.0.0:7443", false),
            ("10.1.2.3", "10.1.2.3:7443", true),
            ("10.1.2.3", "10.1.2.30:7443", false),
            ("10.1.2.3/32", "10.1.2.4:7443", false),
            ("2001:db8::/32", "[2001:db8::7]:7443", true),
            ("2001:db8::/32", "[2001:db9::7]:7443", false),
            ("::/0", "[2001:db9::7]:7443", true),
            ("[2001:db8::7]", "[2001:db8::7]:7443", true),
            ("2001:db8::7", "[2001:db8::8]:7443", false),
            ("[2001:db8::7]:7443", "[2001:db8::7]:7443", true),
            ("[2001:db8::7]:443", "[2001:db8::7]:7443", false),
            ("10.1.2.3:7443", "10.1.2.3:7443", true),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:7443", true),
            ("", "localhost:7443", true),
            ("", "127.0.0.9:7443", true),
            ("", "[::1]:7443", true),
        ] {
            assert_eq!(
                Bypass::parse(list).holds(addr),
                straight,
                "{list:?} and {addr}"
            );
        }
    }
}
