//! The wire format: fields by number, each with its length.

use super::malformed;
use crate::decode::DecodeError;

/// The largest field number.
const MAX_NUMBER: u32 = (1 << 29) - 1;

/// What a field holds, as far as the wire says.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// A number or boolean.
    Varint(u64),
    /// 32 or 64 bits, which no field of a table has.
    Fixed,
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

/// The fields of one message, in the order of the wire.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over the bytes of a message, without its length.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field; `None` at the end.
    ///
    /// # Errors
    /// Where the bytes end within a field, or begin none.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Payload<'a>)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).unwrap_or_default();
        if !(1..=MAX_NUMBER).contains(&number) {
            return Err(malformed(format!("illegal tag {tag}")));
        }
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => self.take(8).map(|_| Payload::Fixed)?,
            2 => {
                let length = self.varint()?;
                Payload::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Payload::Fixed)?,
            wire_type => return Err(malformed(format!("illegal wire type {wire_type}"))),
        };
        Ok(Some((number, payload)))
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte, rest @ ..] = self.rest else {
                return Err(cut_off());
            };
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("integer overflow"))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| cut_off())?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn cut_off() -> DecodeError {
    malformed("unexpected EOF")
}
