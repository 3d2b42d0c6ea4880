//! The first of a name's addresses that answers: one that is dead keeps nobody from the others
//! (RFC 8305, sections 4 and 5).

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::sleep,
};

/// Opens a connection to `addr`, a host and a port.
///
/// The host's addresses are tried one family after the other, the next as soon as one has failed or
/// has been silent for a quarter of a second; the first that answers is taken. How long all of it may
/// take is the caller's.
///
/// # Errors
/// That of the last address that failed, or of the name's resolution.
pub async fn reach(addr: &str) -> io::Result<TcpStream> {
    let found = lookup_host(addr).await?.collect();
    first_of(in_turns(found), TcpStream::connect).await
}

/// Families by turns, beginning with that of the first, each in its own order.
fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut all = Vec::new();
    while all.len() < ADDRESSES_MAX {
        let pair = [one.next(), other.next()];
        if pair.iter().all(Option::is_none) {
            break;
        }
        all.extend(pair.into_iter().flatten());
    }
    all.truncate(ADDRESSES_MAX);
    all
}

async fn first_of<T, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut addresses = addresses.into_iter();
    // Dropped with the first that answers, and with the caller's patience: the others end.
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(connect(address));
        }
        let more = addresses.len() > 0;
        tokio::select! {
            done = attempts.join_next() => match done {
                Some(Ok(Ok(connected))) => return Ok(connected),
                Some(Ok(Err(error))) => last = error,
                Some(Err(error)) => last = io::Error::other(error),
                None => return Err(last),
            },
            () = sleep(NEXT_AFTER), if more => {}
        }
    }
}

/// RFC 8305, section 5: the recommended delay between two attempts.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// With all of them silent the last is begun within two seconds, a fifth of a dial's deadline.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn address(last: u8, v6: bool) -> SocketAddr {
        let text = if v6 {
            format!("[2001:db8::{last}]:1")
        } else {
            format!("192.0.2.{last}:1")
        };
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_and_there_is_an_end() {
        let (v4, v6) = (|n| address(n, false), |n| address(n, true));
        let mixed = vec![v6(1), v6(2), v6(3), v4(1)];
        assert_eq!(in_turns(mixed), [v6(1), v4(1), v6(2), v6(3)]);
        let many = (0..100).map(v4).collect();
        assert_eq!(in_turns(many).len(), ADDRESSES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_silent_keeps_nobody_from_the_next() {
        let began = Instant::now();
        let all = vec![address(1, true), address(2, true), address(1, false)];
        let answers = |to: SocketAddr| async move {
            if to.is_ipv6() {
                pending::<()>().await;
            }
            Ok(to)
        };
        let reached = first_of(all, answers).await.unwrap();
        assert_eq!(reached, address(1, false));
        assert_eq!(began.elapsed(), NEXT_AFTER * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_refuses_is_passed_over_at_once_and_the_last_word_is_told() {
        let began = Instant::now();
        let all = vec![address(1, false), address(2, false)];
        let refuses = |to: SocketAddr| async move {
            Err::<(), _>(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                to.to_string(),
            ))
        };
        let error = first_of(all, refuses).await.unwrap_err();
        assert_eq!(error.to_string(), address(2, false).to_string());
        assert_eq!(began.elapsed(), Duration::ZERO);
        let none = first_of(Vec::new(), refuses).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let reached = reach(&format!("localhost:{port}")).await.unwrap();
        assert_eq!(reached.peer_addr().unwrap().port(), port);
    }
}
