//! A bare accept loop: a handshake with client certificates, one byte to say that it is done, and
//! one buffer held for each connection.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

pub(super) async fn serve(mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_u8(0).await?;
    stream.flush().await?;
    // Written to, so that the memory is really there.
    let mut buffer = vec![1; BUFFER_BYTES];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// As the issue says.
const BUFFER_BYTES: usize = 2 * 1024;
