//! Answers that wait for their readers: what is not read is held in memory, so it is counted, and whoever does not read gives way.
//!
//! Small answers are given at once. A long one takes its bytes of a pool until all of it is sent; of that nobody has more than a
//! share. A walk does not begin as long as the share of its caller is used up, so that what waits is a request and not its answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use system::connections::Connection;

use super::answer::error_response;
use crate::{
    byte_pool::{Transfer, UnreadResponses},
    error::Error,
    holder::Holder,
    limits::{SMALL_ANSWER_BYTES, UNREAD_WAIT_MAX},
};

/// How much of an answer is given to the connection at a time, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The place of an answer that is to be written.
#[derive(Debug)]
pub(super) struct ResponseReservation(Transfer);

impl UnreadResponses {
    /// A place for the answer to this holder. If it has to give way, its connection is closed.
    pub(super) fn reserve(
        &self,
        holder: &Holder,
        connection: Option<&Connection>,
    ) -> ResponseReservation {
        let closing = connection.and_then(Connection::closing);
        ResponseReservation(self.pool.transfer(holder, closing.unwrap_or_default()))
    }
}

impl ResponseReservation {
    /// Waits until other answers of this holder are read, if they use up all that it can have.
    pub(super) async fn wait_for_room(&self) -> Result<(), Error> {
        self.0.wait_for_room().await.map_err(|_| unread())
    }

    /// The response, held to the share of whoever gets it. One that finds no place in time is dropped.
    pub(super) async fn hold(self, response: Response<Body>) -> Response<Body> {
        let bytes = response.body().size_hint().lower();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes <= SMALL_ANSWER_BYTES {
            return response;
        }
        if self.0.grow(bytes).await.is_err() {
            return error_response(unread());
        }
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(body) => {
                let held = Held {
                    bytes: body.to_bytes(),
                    sent: 0,
                    transfer: self.0,
                };
                Response::from_parts(parts, Body::new(held))
            }
            Err(error) => error_response(Error::Broken(format!(
                "an answer could not be taken together: {error}"
            ))),
        }
    }
}

fn unread() -> Error {
    Error::limit_exceeded(
        UNREAD_WAIT_MAX,
        "Too many long answers of yours are not read yet; read them, or try again later",
    )
}

/// The body of a long answer.
struct Held {
    bytes: Bytes,
    sent: usize,
    transfer: Transfer,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.transfer.has_to_give_way() {
            let words = "the answer was read so slowly that it gave way to others";
            return Poll::Ready(Some(Err(std::io::Error::other(words))));
        }
        let end = self.bytes.len().min(self.sent + PIECE_BYTES);
        if end == self.sent {
            return Poll::Ready(None);
        }
        // A copy: a slice would keep all of the answer in memory after its place is given back.
        let piece = Bytes::copy_from_slice(&self.bytes[self.sent..end]);
        self.sent = end;
        self.transfer.record_transferred(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.bytes.len()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.bytes.len() - self.sent;
        SizeHint::with_exact(u64::try_from(left).unwrap_or(u64::MAX))
    }
}
