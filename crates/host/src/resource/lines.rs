//! Splits a byte stream into lines.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

use super::Failure;

/// Maximum length of a line: an object of 1.5 MiB, etcd's limit, with its bytes in base64, and a
/// reserve.
const MAX_LINE: usize = 8 << 20;

/// Splits a stream into lines. An unfinished line at the end is dropped, since the host broke off
/// there.
pub(super) fn split(
    chunks: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send {
    let reader = Reader {
        chunks: chunks.boxed(),
        rest: BytesMut::new(),
        searched: 0,
    };
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.line().await {
            Some(Ok(line)) => Some((Ok(line), Some(reader))),
            Some(Err(failure)) => Some((Err(failure), None)),
            None => None,
        }
    })
}

struct Reader {
    chunks: stream::BoxStream<'static, Result<Bytes, Failure>>,
    rest: BytesMut,
    /// The number of bytes of `rest` that are known to contain no line feed.
    searched: usize,
}

impl Reader {
    async fn line(&mut self) -> Option<Result<Bytes, Failure>> {
        loop {
            let unsearched = self.rest.get(self.searched..).unwrap_or_default();
            if let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + length + 1).freeze();
                self.searched = 0;
                return Some(Ok(line));
            }
            self.searched = self.rest.len();
            if self.searched > MAX_LINE {
                return Some(Err(Failure::Garbled(self.searched)));
            }
            match self.chunks.next().await? {
                Ok(chunk) => self.rest.extend_from_slice(&chunk),
                Err(failure) => return Some(Err(failure)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};

    async fn check(chunks: &[&str], expect: &[&str]) {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk.as_bytes())))
            .collect();
        let lines: Vec<_> = super::split(stream::iter(chunks)).collect().await;
        let lines: Vec<Bytes> = lines.into_iter().map(|line| line.expect("sound")).collect();
        assert_eq!(lines, expect);
    }

    #[tokio::test]
    async fn lines_do_not_depend_on_where_chunks_end() {
        check(&[], &[]).await;
        check(&["one\ntwo\n"], &["one\n", "two\n"]).await;
        check(
            &["on", "", "e\nt", "wo\nthr", "ee\n"],
            &["one\n", "two\n", "three\n"],
        )
        .await;
        check(&["one", "\n", "\n"], &["one\n", "\n"]).await;
        check(&["one\nunfinished"], &["one\n"]).await;
    }
}
