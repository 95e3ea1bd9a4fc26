//! Fixed-size records: fields one after another, little-endian, a checksum first.

/// Writes fields into a fixed record.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(record: &'a mut [u8]) -> Self {
        Self { rest: record }
    }

    /// The next bytes; what does not fit is a mistake of ours.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.rest.len(), "the fields fit the record");
        let (head, tail) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.rest = tail;
    }
}

/// Reads fields from a fixed record; anything beyond its end is absent.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(record: &'a [u8]) -> Self {
        Self { rest: record }
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn i128(&mut self) -> Option<i128> {
        self.take().map(i128::from_le_bytes)
    }

    /// Whether nothing but zeros is left.
    pub(crate) fn blank(&self) -> bool {
        self.rest.iter().all(|byte| *byte == 0)
    }
}

/// Fills in the checksum of a record: its first four bytes, over all others.
pub(crate) fn seal(record: &mut [u8]) {
    if let Some((sum, rest)) = record.split_first_chunk_mut::<4>() {
        *sum = crc32fast::hash(rest).to_le_bytes();
    }
}

/// What stands behind a checksum that agrees.
pub(crate) fn open(record: &[u8]) -> Option<Reader<'_>> {
    let (sum, rest) = record.split_first_chunk::<4>()?;
    (crc32fast::hash(rest) == u32::from_le_bytes(*sum)).then(|| Reader::new(rest))
}
