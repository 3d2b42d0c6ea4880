//! One thread accepts, as many as there are cores serve.

use std::{net::SocketAddr, thread};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::LocalSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::tls::Identity;

/// Listens on any free port, and serves every connection by `serve` until the process ends.
pub(super) fn serve<S, F>(identity: &Identity, serve: S) -> anyhow::Result<SocketAddr>
where
    S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = std::io::Result<()>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let addr = listener.local_addr()?;
    let mut threads = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        threads.push(start(identity.acceptor(), serve.clone())?);
    }
    thread::spawn(move || runtime.block_on(accept(&listener, &threads)));
    Ok(addr)
}

async fn accept(listener: &TcpListener, threads: &[mpsc::Sender<std::net::TcpStream>]) {
    for thread in threads.iter().cycle() {
        // Nothing else may end: a floor that stops accepting stops the measurement.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let Ok(stream) = stream.into_std() else {
            continue;
        };
        if thread.send(stream).await.is_err() {
            return;
        }
    }
}

/// A thread with a reactor of its own.
fn start<S, F>(acceptor: TlsAcceptor, serve: S) -> anyhow::Result<mpsc::Sender<std::net::TcpStream>>
where
    S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = std::io::Result<()>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (sender, mut streams) = mpsc::channel::<std::net::TcpStream>(WAITING_MAX);
    thread::spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, async move {
            while let Some(stream) = streams.recv().await {
                let (acceptor, serve) = (acceptor.clone(), serve.clone());
                tokio::task::spawn_local(async move {
                    let stream = TcpStream::from_std(stream)?;
                    stream.set_nodelay(true)?;
                    let stream = acceptor.accept(stream).await?;
                    serve(stream).await
                });
            }
        });
    });
    Ok(sender)
}

/// As many as the daemon lets wait.
const WAITING_MAX: usize = 1_024;
