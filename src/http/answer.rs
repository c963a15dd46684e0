use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::{lane::Lane, pulse::Asked};

/// Bytes of an answer that HTTP/2 gets at once: as many as a frame has. What was handed over waits for the client in memory.
const PIECE: usize = 16 * 1024;

/// The body of an answer. When it is dropped, all of it has been handed to the connection, or nobody needs it any more.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    asked: Asked,
    /// The stream of HTTP/2 that it goes to.
    lane: Option<Arc<Lane>>,
    /// What that has not taken yet of a piece of the body.
    rest: Bytes,
}

impl Answer {
    pub(super) fn new(body: Body, asked: Asked, lane: Option<Arc<Lane>>) -> Self {
        if let Some(lane) = &lane {
            lane.moved();
        }
        Self { body, asked, lane, rest: Bytes::new() }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(lane) = &this.lane else { return Pin::new(&mut this.body).poll_frame(context) };
        // It is asked for when the client has room for more.
        lane.moved();
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(of_body.lower().saturating_add(rest));
        hint
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.asked.done = self.is_end_stream();
    }
}
