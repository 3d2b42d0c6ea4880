//! A connection changes its reactor without noticing.

use std::sync::mpsc;

use provost_certs::{Detached, TlsStream, detach};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{PATIENCE, World};

#[test]
fn a_connection_accepted_on_one_reactor_is_served_on_another() {
    let (to_server, detached) = mpsc::sync_channel::<Detached>(1);
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut stream: TlsStream = detached.recv().unwrap().attach().unwrap();
            let mut heard = vec![0; BIG];
            stream.read_exact(&mut heard).await.unwrap();
            stream.write_all(&heard).await.unwrap();
            stream.shutdown().await.unwrap();
        });
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new().await;
        let pair = world.pair();
        let tls = world.runtime_tls(&pair);
        let (connected, accepted) =
            tokio::join!(tls.connect(&world.addr, PATIENCE), world.accept());
        let (mut client, mut accepted) = (connected.unwrap(), accepted.unwrap());

        // Some bytes pass on the first reactor, and some wait inside TLS while it moves.
        client.write_all(b"before").await.unwrap();
        let mut heard = [0; 3];
        accepted.stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"bef");
        to_server.send(detach(accepted.stream).unwrap()).unwrap();

        let said = vec![b'x'; BIG - 3];
        let (mut read, mut write) = tokio::io::split(client);
        let speak = async {
            write.write_all(&said).await.unwrap();
            write.flush().await.unwrap();
        };
        let mut answer = Vec::new();
        let ((), heard) = tokio::join!(speak, read.read_to_end(&mut answer));
        heard.unwrap();
        assert_eq!(&answer[..3], b"ore");
        assert_eq!(answer[3..], said);
    });
    server.join().unwrap();
}

#[tokio::test]
async fn a_detached_connection_needs_a_reactor_to_be_attached() {
    let world = World::new().await;
    let pair = world.pair();
    let tls = world.runtime_tls(&pair);
    let (connected, accepted) = tokio::join!(tls.connect(&world.addr, PATIENCE), world.accept());
    let _client = connected.unwrap();
    let detached = detach(accepted.unwrap().stream).unwrap();
    let refused = std::thread::spawn(move || detached.attach().map(|_| ()))
        .join()
        .unwrap();
    refused.unwrap_err();
}

/// More than a socket buffers, so that both directions must wait for the reactor.
const BIG: usize = 1 << 20;
