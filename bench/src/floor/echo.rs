//! Sends back what it gets, frame by frame, cut or filled to the length of the real answer.

use bytes::BytesMut;
use provost_protocol::codec::LENGTH_BYTES;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// The first frame on a connection: how long every answer shall be, its length field included.
pub(crate) fn greeting(answer_bytes: usize) -> anyhow::Result<Vec<u8>> {
    let bytes = u32::try_from(answer_bytes)?.to_le_bytes();
    Ok([4_u32.to_le_bytes(), bytes].concat())
}

/// The body that comes back for a body.
pub(crate) fn echoed(body: &[u8], answer_bytes: usize) -> Vec<u8> {
    let mut echo = body.to_vec();
    echo.resize(answer_bytes - LENGTH_BYTES, 0);
    echo
}

pub(super) async fn serve(mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    let mut inbox = BytesMut::with_capacity(READ_BYTES);
    let mut out = Vec::with_capacity(READ_BYTES);
    let mut answer_bytes = None;
    loop {
        inbox.reserve(READ_BYTES);
        if stream.read_buf(&mut inbox).await? == 0 {
            return Ok(());
        }
        while let Some(frame) = next(&mut inbox) {
            let body = &frame[LENGTH_BYTES..];
            match (answer_bytes, body.first_chunk()) {
                (None, Some(bytes)) => answer_bytes = Some(length(*bytes)),
                (Some(bytes), _) => append(body, bytes, &mut out),
                (None, None) => return Ok(()),
            }
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            stream.flush().await?;
            out.clear();
        }
    }
}

fn append(body: &[u8], answer_bytes: usize, out: &mut Vec<u8>) {
    let from = out.len();
    let length = answer_bytes.saturating_sub(LENGTH_BYTES);
    let field = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&field.to_le_bytes());
    out.extend_from_slice(&body[..body.len().min(length)]);
    out.resize(from + LENGTH_BYTES + length, 0);
}

/// Takes the next whole frame out, with its length field.
fn next(inbox: &mut BytesMut) -> Option<BytesMut> {
    let whole = LENGTH_BYTES + length(*inbox.first_chunk()?);
    (inbox.len() >= whole).then(|| inbox.split_to(whole))
}

fn length(field: [u8; LENGTH_BYTES]) -> usize {
    usize::try_from(u32::from_le_bytes(field)).unwrap_or(usize::MAX)
}

/// As the daemon reads.
const READ_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_was_asked_for_and_begins_as_the_question() {
        for answer_bytes in [8, 30, 90] {
            let body: Vec<u8> = (0..50).collect();
            let mut out = Vec::new();
            append(&body, answer_bytes, &mut out);
            assert_eq!(out.len(), answer_bytes);
            assert_eq!(out[LENGTH_BYTES..], echoed(&body, answer_bytes));
            let mut inbox = BytesMut::from(out.as_slice());
            assert_eq!(next(&mut inbox).unwrap(), out);
            assert_eq!(next(&mut inbox), None);
        }
    }
}
