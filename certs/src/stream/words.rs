//! What is said in TLS, written behind what waits to be sent.

use rustls::{
    Error,
    server::ServerConnectionData,
    unbuffered::{EncodeError, EncodeTlsData, EncryptError, WriteTraffic},
};

use super::queue::{Lack, Queue};

/// A message of TLS's own.
pub(super) fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Queue) {
    let encoded = out.fill(0, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(lack) => Lack::Room(lack.required_size),
            other @ EncodeError::AlreadyEncoded => Lack::Other(other),
        })
    });
    debug_assert!(encoded.is_ok(), "it is encoded once");
}

/// What the kernel says.
pub(super) fn say(
    mut traffic: WriteTraffic<'_, ServerConnectionData>,
    bytes: &[u8],
    out: &mut Queue,
) -> Result<(), Error> {
    let records = bytes.len() / RECORD_BYTES + 1;
    out.fill(bytes.len() + records * RECORD_MORE, |room| {
        traffic.encrypt(bytes, room).map_err(lack)
    })
}

/// That nothing more comes.
pub(super) fn leave(
    mut traffic: WriteTraffic<'_, ServerConnectionData>,
    out: &mut Queue,
) -> Result<(), Error> {
    out.fill(RECORD_MORE, |room| {
        traffic.queue_close_notify(room).map_err(lack)
    })
}

fn lack(error: EncryptError) -> Lack<Error> {
    match error {
        EncryptError::InsufficientSize(lack) => Lack::Room(lack.required_size),
        EncryptError::EncryptExhausted => Lack::Other(Error::EncryptError),
    }
}

/// What a record carries at most.
pub(super) const RECORD_BYTES: usize = 16 * 1024;

/// What a record takes besides: its head, its tag and its type. Where it takes more, TLS says so.
const RECORD_MORE: usize = 24;
