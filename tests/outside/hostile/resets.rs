//! HTTP/2 streams opened and given up at once, by the thousand (CVE-2023-44487).

use provost_certs::Alpn;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{WITHIN, open};
use crate::world::Kernel;

/// One frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The code of the first GOAWAY among frames.
fn goaway(mut bytes: &[u8]) -> Option<u32> {
    while bytes.len() >= 9 {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let (kind, end) = (bytes[3], 9 + usize::try_from(length).unwrap());
        let frame = bytes.get(..end)?;
        if kind == GOAWAY {
            return Some(u32::from_be_bytes(frame[13..17].try_into().unwrap()));
        }
        bytes = &bytes[end..];
    }
    None
}

#[tokio::test]
async fn a_client_that_opens_streams_and_resets_them_is_told_to_calm_down_and_cut() {
    let kernel = Kernel::start().await;
    let tenant = kernel.company().await;
    kernel
        .grant(&tenant, json!({"feature": "reports", "limit": true}))
        .await;
    let honest = kernel.runtime(&tenant, "on_prem").await;
    let stream = open(&kernel, &honest, Alpn::H2).await;
    // Indexed :method POST, :scheme https, :path /; :authority x as a literal.
    let head = [0x83, 0x87, 0x84, 0x41, 1, b'x'];
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for number in 0..STREAMS {
        let id = number * 2 + 1;
        bytes.extend(frame(HEADERS, END_HEADERS, id, &head));
        bytes.extend(frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
    }
    // The kernel may hang up before all of it is written.
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut said = Vec::new();
    let writing = async {
        drop(writing.write_all(&bytes).await);
        drop(writing.flush().await);
    };
    let hearing = async {
        while reading
            .read_buf(&mut said)
            .await
            .is_ok_and(|count| count > 0)
        {}
    };
    let both = async { tokio::join!(writing, hearing) };
    timeout(WITHIN, both).await.expect("the kernel hangs up");
    assert_eq!(
        goaway(&said),
        Some(ENHANCE_YOUR_CALM),
        "{} bytes",
        said.len()
    );
    honest.check(&kernel, "reports").await.must(200);
    assert!(!kernel.log().contains("panicked"));
}

/// Far more than may be open, and than may be given up.
const STREAMS: u32 = 5_000;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
