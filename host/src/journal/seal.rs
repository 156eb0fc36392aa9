//! Sealing and opening: the bytes of a segment, apart from files. The design is argued in [`super`].

use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use hmac::{Hmac, Mac as _};
use patrol_policy::types::Timestamp;
use sha2::Sha256;
use zeroize::Zeroize as _;

use super::error::Trouble;
use super::key::Key;

/// Bytes at the beginning of a segment.
pub(super) const SEGMENT_HEAD: usize = 72;
/// Bytes at the beginning of a block.
pub(super) const BLOCK_HEAD: usize = 56;
/// Bytes that show that something is as it was sealed.
pub(super) const TAG: usize = 16;
/// What a block's header begins with, so that it can be found behind damage.
pub(super) const MARK: [u8; 4] = [0xd7, b'B', b'L', b'K'];

const MAGIC: [u8; 8] = *b"PATROLJ\x01";
const DERIVATION: &[u8] = b"patrol decision journal, key of a segment, 1\0";
/// The flag of the block that closes a segment.
const CLOSING: u32 = 1;

/// What a nonce is for; the rest of it is the block's index.
#[derive(Clone, Copy)]
enum Part {
    Segment = 0,
    Head = 1,
    Body = 2,
}

/// What a block's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    /// Its place in the segment, from 0.
    pub(super) index: u32,
    /// Bytes of its records, without the tag.
    pub(super) length: u32,
    /// How many records it has.
    pub(super) records: u32,
    /// The time of its earliest record, ms.
    pub(super) first: Timestamp,
    /// The time of its latest record, ms.
    pub(super) last: Timestamp,
    /// Whether it closes the segment.
    pub(super) closing: bool,
}

impl BlockHead {
    /// The bytes of the block in its file.
    pub(super) const fn size(&self) -> u64 {
        (self.length as u64).saturating_add((BLOCK_HEAD + TAG) as u64)
    }
}

/// Seals and opens what is in one segment.
pub(super) struct Sealer {
    cipher: ChaCha20Poly1305,
}

impl Sealer {
    /// A segment of its own: how to seal what goes into it, and how it begins.
    pub(super) fn begin(
        key: &Key,
        number: u64,
        made: Timestamp,
    ) -> Result<(Self, [u8; SEGMENT_HEAD]), Unsealable> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|_| Unsealable)?;
        let sealer = Self::derive(key, number, &salt)?;
        let open = [&MAGIC[..], &number.to_le_bytes(), &salt].concat();
        let mut sealed = made.to_le_bytes();
        let tag = sealer.seal(Part::Segment, 0, &open, &mut sealed)?;
        let head = [&open[..], &sealed, &tag].concat();
        Ok((sealer, head.try_into().map_err(|_| Unsealable)?))
    }

    /// The segment that begins so: its number, and how to open what is in it.
    pub(super) fn open(key: &Key, head: &[u8; SEGMENT_HEAD]) -> Result<(Self, u64), Trouble> {
        let parse = || {
            let (open, sealed) = head.split_at_checked(48)?;
            let mut fields = Fields(head);
            let (magic, number, salt) = (fields.array::<8>()?, fields.u64()?, fields.array::<32>()?);
            let (made, tag) = sealed.split_first_chunk::<8>()?;
            Some((magic, number, salt, open, *made, tag.first_chunk::<16>()?))
        };
        let (magic, number, salt, open, mut made, tag) = parse().ok_or(Trouble::OtherFormat)?;
        if *magic != MAGIC {
            return Err(Trouble::OtherFormat);
        }
        let sealer = Self::derive(key, number, salt).map_err(|_| Trouble::OtherKey)?;
        sealer
            .unseal(Part::Segment, 0, open, &mut made, tag)
            .ok_or(Trouble::OtherKey)?;
        Ok((sealer, number))
    }

    fn derive(key: &Key, number: u64, salt: &[u8; 32]) -> Result<Self, Unsealable> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).map_err(|_| Unsealable)?;
        mac.update(DERIVATION);
        mac.update(&number.to_le_bytes());
        mac.update(salt);
        let mut bytes = mac.finalize().into_bytes();
        let cipher = ChaCha20Poly1305::new(&bytes);
        bytes.as_mut_slice().zeroize();
        Ok(Self { cipher })
    }

    /// Seals a block in its place: `frame` begins with room for the header, and its records follow.
    pub(super) fn seal_block(&self, head: &BlockHead, frame: &mut Vec<u8>) -> Result<(), Unsealable> {
        let mark = [&MARK[..], &head.index.to_le_bytes()].concat();
        let mut fields = [
            &head.length.to_le_bytes()[..],
            &head.records.to_le_bytes(),
            &head.first.to_le_bytes(),
            &head.last.to_le_bytes(),
            &(if head.closing { CLOSING } else { 0 }).to_le_bytes(),
            &[0; 4],
        ]
        .concat();
        let tag = self.seal(Part::Head, head.index, &mark, &mut fields)?;
        let sealed: [u8; BLOCK_HEAD] = [&mark[..], &fields, &tag]
            .concat()
            .try_into()
            .map_err(|_| Unsealable)?;
        let (room, body) = frame.split_first_chunk_mut::<BLOCK_HEAD>().ok_or(Unsealable)?;
        *room = sealed;
        let tag = self.seal(Part::Body, head.index, &sealed, body)?;
        frame.extend_from_slice(&tag);
        Ok(())
    }

    /// What a block's header says, if it is one of this segment.
    pub(super) fn open_head(&self, bytes: &[u8; BLOCK_HEAD]) -> Option<BlockHead> {
        let (mark, rest) = bytes.split_first_chunk::<8>()?;
        let (sealed, tag) = rest.split_first_chunk::<32>()?;
        let index = Fields(mark.strip_prefix(&MARK)?).u32()?;
        let mut opened = *sealed;
        self.unseal(Part::Head, index, mark, &mut opened, tag.first_chunk()?)?;
        let mut fields = Fields(&opened);
        let (length, records) = (fields.u32()?, fields.u32()?);
        let (first, last) = (fields.u64()?, fields.u64()?);
        let closing = match (fields.u32()?, fields.u32()?) {
            (0, 0) => false,
            (CLOSING, 0) => true,
            _ => return None,
        };
        Some(BlockHead {
            index,
            length,
            records,
            first,
            last,
            closing,
        })
    }

    /// Opens a whole block, header and tag included, in its place: its records.
    pub(super) fn open_block<'b>(&self, block: &'b mut [u8]) -> Option<(BlockHead, &'b [u8])> {
        let (sealed, body) = block.split_first_chunk_mut::<BLOCK_HEAD>()?;
        let head = self.open_head(sealed)?;
        let length = usize::try_from(head.length).ok()?;
        let (body, tag) = body.split_at_mut_checked(length)?;
        let tag: [u8; TAG] = (*tag).try_into().ok()?;
        self.unseal(Part::Body, head.index, &*sealed, body, &tag)?;
        Some((head, body))
    }

    fn seal(&self, part: Part, index: u32, open: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG], Unsealable> {
        let sealed = self
            .cipher
            .encrypt_inout_detached(&nonce(part, index), open, bytes.into());
        sealed.map(Into::into).map_err(|_| Unsealable)
    }

    fn unseal(&self, part: Part, index: u32, open: &[u8], bytes: &mut [u8], tag: &[u8; TAG]) -> Option<()> {
        let tag = Tag::from(*tag);
        self.cipher
            .decrypt_inout_detached(&nonce(part, index), open, bytes.into(), &tag)
            .ok()
    }
}

/// Something could not be sealed: no randomness, or more bytes than the cipher takes.
#[derive(Debug)]
pub(super) struct Unsealable;

impl From<Unsealable> for std::io::Error {
    fn from(_: Unsealable) -> Self {
        Self::other("a block could not be sealed")
    }
}

fn nonce(part: Part, index: u32) -> Nonce {
    let [a, b, c, d] = index.to_le_bytes();
    Nonce::from([part as u8, 0, 0, 0, a, b, c, d, 0, 0, 0, 0])
}

/// Takes numbers from the front.
pub(super) struct Fields<'b>(pub(super) &'b [u8]);

impl<'b> Fields<'b> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<&'b [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().copied().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
