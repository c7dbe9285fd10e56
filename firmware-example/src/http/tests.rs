use std::format;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What a response comes to, read in pieces that end at `cuts`, and with the connection closed behind it.
#[derive(Debug, PartialEq)]
struct Read {
    tokens: usize,
    is_answered: bool,
    /// Bytes up to the end, whether it was a success, and whether the connection can be used again.
    end: Result<(usize, bool, bool), HttpError>,
}

fn read<'a>(expect: Expect, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut response = Response::new(expect);
    let mut read = Read { tokens: 0, is_answered: false, end: Err(HttpError::Truncated) };
    let mut total = 0;
    for mut piece in pieces {
        while !piece.is_empty() {
            match response.feed(piece) {
                Ok((used, progress)) => {
                    total += used;
                    piece = &piece[used..];
                    match progress {
                        Progress::More => assert!(piece.is_empty()),
                        Progress::Token => read.tokens += 1,
                        Progress::Answered => read.is_answered = true,
                        Progress::Done => {
                            assert_eq!(response.feed(b"x"), Ok((0, Progress::Done)));
                            read.end = Ok((total, response.is_success(), response.keeps_alive()));
                            return read;
                        }
                    }
                }
                Err(error) => return Read { end: Err(error), ..read },
            }
        }
    }
    read.end = response.end().map(|_| (total, response.is_success(), response.keeps_alive()));
    read
}

fn whole(expect: Expect, bytes: &str) -> Read {
    let bytes = bytes.as_bytes();
    let read_whole = read(expect, [bytes]);
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(read(expect, [head, tail]), read_whole, "cut at {cut}");
    }
    assert_eq!(read(expect, bytes.chunks(1)), read_whole);
    read_whole
}

fn plain(bytes: &str) -> Result<(usize, bool, bool), HttpError> {
    whole(Expect::Plain, bytes).end
}

#[test]
fn the_framings_of_a_body() {
    let keep = |bytes: &str| Ok((bytes.len(), true, true));
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200\ncontent-length:2\n\nab",
        "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    ] {
        assert_eq!(plain(bytes), keep(bytes), "{bytes}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nSet-Cookie: {}\r\nContent-Length: 1\r\n\r\nx", "y".repeat(500));
    assert_eq!(plain(&long), keep(&long));
    let extension = "y".repeat(500);
    let long = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{extension}\r\na\r\n0\r\n\r\n");
    assert_eq!(plain(&long), keep(&long));
    let with_more = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200";
    assert_eq!(plain(with_more), Ok((with_more.len() - 12, true, true)));
}

#[test]
fn connections_that_end_with_the_response() {
    for bytes in [
        "HTTP/1.1 200 OK\r\n\r\nuntil closed",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nConnection: close, keep-alive\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
    ] {
        assert_eq!(plain(bytes), Ok((bytes.len(), true, false)), "{bytes}");
    }
}

#[test]
fn a_status_of_failure_leaves_the_connection() {
    let bytes = "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(plain(bytes), Ok((bytes.len(), false, true)));
    assert_eq!(whole(Expect::Chat, bytes).end, Ok((bytes.len(), false, true)));
}

#[test]
fn what_is_malformed_is_refused() {
    for bytes in [
        "SSH-2.0-OpenSSH\r\n",
        "garbage without an end",
        "HTTP/1?",
        "HTTP/2 200\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 999 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ] {
        assert_eq!(plain(bytes), Err(HttpError::Malformed), "{bytes}");
    }
    let long = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {}\r\n\r\n", "y".repeat(500));
    assert_eq!(plain(&long), Err(HttpError::Malformed));
    let zeros = "0".repeat(MAX_LINE);
    for size in [zeros.clone() + "1", zeros + "1;x"] {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\na\r\n0\r\n\r\n");
        assert_eq!(plain(&bytes), Err(HttpError::Malformed), "{size}");
    }
    let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"X: y\r\n".repeat(4000);
    assert_eq!(read(Expect::Plain, [endless.as_bytes()]).end, Err(HttpError::Malformed));
}

#[test]
fn every_cut_off_response_is_truncated() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r",
    ] {
        for end in 0..=bytes.len() {
            // A head that has ended without framing is one that ends with the connection.
            assert_eq!(plain(&bytes[..end]), Err(HttpError::Truncated), "{}", &bytes[..end]);
        }
    }
}

const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";

fn stream(kind: &str, events: &[&str]) -> String {
    let chunks: Vec<_> = events.iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len())).collect();
    let chunks = chunks.concat();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

#[test]
fn the_tokens_of_a_chat() {
    let events = [TOKEN, &TOKEN[..9], &TOKEN[9..], TOKEN, "data: [DONE]\n\n"];
    let bytes = stream("text/event-stream; charset=utf-8", &events);
    let end = Ok((bytes.len(), true, true));
    assert_eq!(whole(Expect::Chat, &bytes), Read { tokens: 3, is_answered: true, end });
}

#[test]
fn a_chat_that_ends_with_its_answer_is_done() {
    let body = format!("{TOKEN}data: [DONE]\n\n");
    let bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut response = Response::new(Expect::Chat);
    let (first, _) = response.feed(bytes.as_bytes()).unwrap();
    assert!(!response.is_done());
    assert_eq!(response.feed(&bytes.as_bytes()[first..]), Ok((bytes.len() - first, Progress::Answered)));
    assert!(response.is_done());
}

#[test]
fn a_chat_without_its_end_or_of_another_kind_is_none() {
    let cut = whole(Expect::Chat, &stream("text/event-stream", &[TOKEN]));
    assert_eq!(cut, Read { tokens: 1, is_answered: false, end: Err(HttpError::Truncated) });
    let empty = "HTTP/1.1 204 None\r\nContent-Type: text/event-stream\r\n\r\n";
    assert_eq!(whole(Expect::Chat, empty).end, Err(HttpError::Truncated));
    for bytes in [stream("application/json", &[TOKEN]), stream("text/event-stream", &["data: x\n\n"])] {
        assert_eq!(whole(Expect::Chat, &bytes).end, Err(HttpError::Malformed));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes: Vec<u8>, chat: bool) {
        let expect = if chat { Expect::Chat } else { Expect::Plain };
        let _ = read(expect, [&*bytes]);
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = read(expect, [&head[..], &bytes]);
    }

    #[test]
    fn any_body_in_any_chunks_and_pieces_ends_where_it_ends(
        body in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
        piece in 1_usize..64,
    ) {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in &body {
            bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let length = bytes.len();
        bytes.extend(vec![b'H'; 5]);
        prop_assert_eq!(read(Expect::Plain, bytes.chunks(piece)).end, Ok((length, true, true)));
    }
}
