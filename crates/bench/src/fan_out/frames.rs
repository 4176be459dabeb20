//! The lines of a watch, one event each, from pieces of any size.

/// Joins pieces to lines.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The beginning of a line whose end has not arrived yet.
    begun: Vec<u8>,
}

impl Frames {
    /// Takes a piece and passes each line that is now complete to `each`, without its line break.
    pub(crate) fn feed(&mut self, mut piece: &[u8], each: &mut impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            if self.begun.is_empty() {
                each(&piece[..end]);
            } else {
                self.begun.extend_from_slice(&piece[..end]);
                each(&self.begun);
                self.begun.clear();
            }
            piece = &piece[end + 1..];
        }
        self.begun.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[track_caller]
    fn check(pieces: &[&str], expect: &[&str]) {
        let mut frames = Frames::default();
        let mut lines = Vec::new();
        for piece in pieces {
            frames.feed(piece.as_bytes(), &mut |line| {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            });
        }
        assert_eq!(lines, expect, "{pieces:?}");
    }

    #[test]
    fn lines_are_found_wherever_they_are_cut() {
        check(&["one\ntwo\n"], &["one", "two"]);
        check(&["on", "e\ntw", "o", "\n", "three"], &["one", "two"]);
        check(&["one", "\n\n"], &["one", ""]);
        check(&[], &[]);
    }
}
