//! Numbers that follow from a seed and from nothing else, on every machine and in every build.

/// `SplitMix64` (Steele, Lea, Flood 2014): small, fast, and good enough to choose faults by.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins the stream of a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin with neighbouring numbers.
        Self(seed.wrapping_mul(STEP).rotate_left(17) ^ STEP)
    }

    /// A stream of its own, so that one side's draws do not shift the other's.
    pub(crate) const fn fork(&mut self) -> Self {
        Self::new(self.next())
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index below `length`, which is not 0.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).expect("a length in memory fits");
        usize::try_from(self.below(bound)).expect("below a length in memory")
    }

    /// True in one of `of` draws.
    pub(crate) const fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub(crate) const fn coin(&mut self) -> bool {
        self.one_in(2)
    }

    /// One byte.
    pub(crate) const fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of a few.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }
}

/// The odd number nearest to 2^64 divided by the golden ratio, from the paper.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
