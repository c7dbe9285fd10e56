//! The coding of bucket counts: LEB128 varints of zigzag differences, runs of equal counts in two tokens.
//!
//! Each count is written as its wrapping difference from the one before (from 0 for the first), zigzag-coded, as a
//! varint. Difference 0 is followed by one more varint: how many further counts are equal too.

use crate::wire::{Writer, read_varint, unzigzag, varint_len, zigzag};

/// The buffer has no room for what was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What one count can add at most: a run of equal counts and a token.
const MAX_STEP: usize = 1 + 2 * varint_len(u64::MAX);

/// Writes counts into a buffer.
pub(crate) struct CountWriter<'a> {
    out: Writer<'a>,
    capacity: usize,
    previous: u64,
    /// Equal counts that are accepted but not yet written; there is always room for them.
    run: u64,
}

impl<'a> CountWriter<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { capacity: out.len(), out: Writer::new(out), previous: 0, run: 0 }
    }

    /// Appends one count.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; then nothing has changed, and what was accepted before can be
    /// [finished](Self::finish).
    pub(crate) fn push(&mut self, count: u64) -> Result<(), Full> {
        let difference = count.wrapping_sub(self.previous).cast_signed();
        if difference == 0 {
            self.require(|| run_len(self.run + 1))?;
            self.run += 1;
        } else {
            let token = zigzag(difference);
            self.require(|| run_len(self.run) + varint_len(token))?;
            self.flush();
            self.out.varint(token);
            self.previous = count;
        }
        Ok(())
    }

    /// The number of bytes written. Everything that was accepted fits.
    pub(crate) fn finish(mut self) -> usize {
        self.flush();
        self.capacity - self.out.room()
    }

    /// Only near the end of the buffer does it matter how much room exactly is needed.
    fn require(&self, needed: impl FnOnce() -> usize) -> Result<(), Full> {
        let room = self.out.room();
        if room >= MAX_STEP || room >= needed() { Ok(()) } else { Err(Full) }
    }

    fn flush(&mut self) {
        if let Some(further) = self.run.checked_sub(1) {
            self.out.varint(0);
            self.out.varint(further);
            self.run = 0;
        }
    }
}

/// Reads counts, as many as the caller knows to be there.
///
/// However long a run claims to be, each step takes constant time, and the caller takes the steps.
pub(crate) struct CountReader<'a> {
    bytes: &'a [u8],
    previous: u64,
    run: u64,
}

impl<'a> CountReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, previous: 0, run: 0 }
    }

    /// The next count, or `None` when the bytes are cut short or broken.
    #[inline]
    pub(crate) fn next_count(&mut self) -> Option<u64> {
        if let Some(left) = self.run.checked_sub(1) {
            self.run = left;
        } else {
            match self.read_token()? {
                0 => self.run = self.read_token()?,
                token => self.previous = self.previous.wrapping_add(unzigzag(token).cast_unsigned()),
            }
        }
        Some(self.previous)
    }

    /// [`read_varint`], quicker where the number has one byte, as most have.
    #[inline]
    fn read_token(&mut self) -> Option<u64> {
        if let [byte @ 0..0x80, rest @ ..] = self.bytes {
            self.bytes = rest;
            return Some(u64::from(*byte));
        }
        // A copy, so that the reader itself can stay in registers.
        let mut bytes = self.bytes;
        let token = read_varint(&mut bytes)?;
        self.bytes = bytes;
        Some(token)
    }

    /// The bytes after the counts, or `None` when a run promised more counts than were taken.
    pub(crate) fn finish(self) -> Option<&'a [u8]> {
        (self.run == 0).then_some(self.bytes)
    }
}

/// Bytes of a run of equal counts.
fn run_len(run: u64) -> usize {
    run.checked_sub(1).map_or(0, |further| 1 + varint_len(further))
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn counts() -> impl Strategy<Value = Vec<u64>> {
        let count = prop_oneof![3 => 0_u64..3, 1 => any::<u64>()];
        proptest::collection::vec((count, 1_usize..200), 0..20)
            .prop_map(|runs| runs.into_iter().flat_map(|(count, times)| vec![count; times]).collect())
    }

    proptest! {
        #[test]
        fn what_was_accepted_is_read_back(counts in counts(), room in 0_usize..60) {
            let mut out = vec![0; room];
            let mut writer = CountWriter::new(&mut out);
            let accepted = counts.iter().take_while(|count| writer.push(**count).is_ok()).count();
            // A refusal changes nothing, however often it is asked for.
            if let Some(refused) = counts.get(accepted) {
                prop_assert_eq!(writer.push(*refused), Err(Full));
            }
            let written = writer.finish();
            let mut reader = CountReader::new(&out[..written]);
            for count in &counts[..accepted] {
                prop_assert_eq!(reader.next_count(), Some(*count));
            }
            prop_assert_eq!(reader.finish(), Some(&[][..]));
        }
    }
}
