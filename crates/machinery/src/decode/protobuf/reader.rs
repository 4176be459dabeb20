//! The wire format: numbered fields, each with its length.

use super::malformed;
use crate::decode::DecodeError;

/// The largest field number.
const MAX_NUMBER: u32 = (1 << 29) - 1;

/// The content of a field, as far as the wire format shows it.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// A number or boolean.
    Varint(u64),
    /// 32 or 64 bits. No field of a table has this type.
    Fixed,
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

/// Reader of the fields of one message, in wire order.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Creates a reader of the bytes of a message, without its length.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Returns the next field, or `None` at the end.
    ///
    /// # Errors
    /// The bytes end within a field, or do not begin a valid field.
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
