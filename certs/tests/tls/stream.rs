//! The kernel's end of a connection of frames: every record, however it comes.

use std::io::{ErrorKind, Write as _};

use provost_certs::{Alpn, TlsStream};
use rustls::ClientConnection;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::{RawStream, World};

/// Both ends of one connection of frames.
async fn ends(world: &World) -> (RawStream, TlsStream) {
    let mut config = world.raw_client(None);
    config.alpn_protocols = vec![Alpn::Provost1.as_bytes().to_vec()];
    let (client, accepted) = tokio::join!(world.raw_connect(config), world.accept());
    (client.unwrap(), accepted.unwrap().stream)
}

/// What the client's TLS would send.
fn records(session: &mut ClientConnection, text: &[u8]) -> Vec<u8> {
    session.writer().write_all(text).unwrap();
    let mut records = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut records).unwrap();
    }
    records
}

async fn send(socket: &mut TcpStream, bytes: &[u8]) {
    socket.write_all(bytes).await.unwrap();
}

#[tokio::test]
async fn a_record_that_comes_byte_by_byte_is_read_whole() {
    let world = World::new().await;
    let (client, mut server) = ends(&world).await;
    let (mut socket, mut session) = client.into_inner();
    socket.set_nodelay(true).unwrap();
    let records = records(&mut session, b"a word");
    let speak = async {
        for byte in records {
            send(&mut socket, &[byte]).await;
            tokio::task::yield_now().await;
        }
    };
    let mut heard = [0; 6];
    let ((), read) = tokio::join!(speak, server.read_exact(&mut heard));
    read.unwrap();
    assert_eq!(&heard, b"a word");
}

#[tokio::test]
async fn records_that_come_together_are_read_in_their_order_however_little_is_asked_for() {
    let world = World::new().await;
    let (client, mut server) = ends(&world).await;
    let (mut socket, mut session) = client.into_inner();
    let mut together = records(&mut session, b"one");
    together.extend(records(&mut session, b"two"));
    let third = records(&mut session, b"three");
    together.extend(&third[..7]);
    send(&mut socket, &together).await;
    let mut heard = [0; 2];
    for expected in [b"on", b"et", b"wo"] {
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, expected);
    }
    send(&mut socket, &third[7..]).await;
    let mut heard = [0; 5];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"three");
}

#[tokio::test]
async fn a_peer_may_change_its_keys_and_is_answered() {
    let world = World::new().await;
    let (mut client, mut server) = ends(&world).await;
    for word in [b"old", b"new"] {
        client.write_all(word).await.unwrap();
        client.flush().await.unwrap();
        let mut heard = [0; 3];
        server.read_exact(&mut heard).await.unwrap();
        server.write_all(&heard).await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, word);
        client.get_mut().1.refresh_traffic_keys().unwrap();
    }
}

#[tokio::test]
async fn a_stream_whose_peer_has_said_goodbye_can_still_be_written_to() {
    let world = World::new().await;
    let (client, mut server) = ends(&world).await;
    let (mut socket, mut session) = client.into_inner();
    session.send_close_notify();
    let goodbye = records(&mut session, b"");
    send(&mut socket, &goodbye).await;
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    server.write_all(b"farewell").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(
        server.write(b"more").await.unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );

    let mut came = Vec::new();
    socket.read_to_end(&mut came).await.unwrap();
    let mut came = came.as_slice();
    while !came.is_empty() {
        session.read_tls(&mut came).unwrap();
        session.process_new_packets().unwrap();
    }
    let mut heard = Vec::new();
    std::io::Read::read_to_end(&mut session.reader(), &mut heard).unwrap();
    assert_eq!(heard, b"farewell");
}

#[tokio::test]
async fn a_hang_up_without_a_goodbye_is_an_error() {
    let world = World::new().await;
    let (client, mut server) = ends(&world).await;
    drop(client.into_inner());
    let error = server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_record_that_was_changed_on_its_way_ends_the_stream_and_its_sender_is_told() {
    let world = World::new().await;
    let (client, mut server) = ends(&world).await;
    let (mut socket, mut session) = client.into_inner();
    let mut changed = records(&mut session, b"a word");
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    send(&mut socket, &changed).await;
    let error = server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    send(&mut socket, &records(&mut session, b"another")).await;
    let again = server.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidData);
    server.write(b"an answer").await.unwrap_err();
    server.shutdown().await.unwrap();

    let mut came = Vec::new();
    socket.read_to_end(&mut came).await.unwrap();
    session.read_tls(&mut came.as_slice()).unwrap();
    assert_eq!(
        session.process_new_packets().unwrap_err(),
        rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)
    );
}
