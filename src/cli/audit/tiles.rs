//! The layout of an exported log: C2SP tlog-tiles.
//!
//! `tile/<L>/<N>` holds 256 hashes of level L (each of 256^L events), `tile/entries/<N>` the 256
//! events under the N-th tile of level 0, each after its length in two bytes, big-endian. The last
//! ones of a log are partial and end with `.p/<W>`, W the number of hashes in them.

use std::path::{Path, PathBuf};

use provost_protocol::tlog::{Frontier, Hash, node_hash};

/// Grows a tree leaf by leaf, and gives each tile as soon as it is full.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    frontier: Frontier,
    levels: Vec<Level>,
}

/// The tile that is being filled on one level.
#[derive(Debug, Default)]
struct Level {
    full: u64,
    hashes: Vec<Hash>,
}

/// One tile, full or the last of its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) level: usize,
    pub(super) n: u64,
    pub(super) hashes: Vec<Hash>,
}

impl Tiles {
    /// Takes in the next leaf; answers the tiles that are full with it, lowest level first.
    pub(super) fn append(&mut self, leaf: Hash) -> Vec<Tile> {
        self.frontier.append(leaf);
        let mut done = Vec::new();
        let mut hash = leaf;
        for index in 0.. {
            if index == self.levels.len() {
                self.levels.push(Level::default());
            }
            let level = &mut self.levels[index];
            level.hashes.push(hash);
            if level.hashes.len() < TILE_WIDTH {
                break;
            }
            let tile = Tile {
                level: index,
                n: level.full,
                hashes: std::mem::take(&mut level.hashes),
            };
            level.full += 1;
            hash = tile.root();
            done.push(tile);
        }
        done
    }

    /// The tiles that the end of the log leaves partial, lowest level first.
    pub(super) fn partial(&self) -> Vec<Tile> {
        let begun = |(level, held): (usize, &Level)| {
            let hashes = held.hashes.clone();
            let n = held.full;
            (!hashes.is_empty()).then_some(Tile { level, n, hashes })
        };
        self.levels.iter().enumerate().filter_map(begun).collect()
    }

    /// How many leaves, and their root.
    pub(super) const fn frontier(&self) -> &Frontier {
        &self.frontier
    }
}

impl Tile {
    /// Where it stands in an export.
    pub(super) fn path(&self) -> PathBuf {
        hashes(self.level, self.n, self.hashes.len())
    }

    /// Where the events under a tile of level 0 stand.
    pub(super) fn entries(&self) -> PathBuf {
        entries(self.n, self.hashes.len())
    }

    /// Its bytes: the hashes, one after the other.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// Which events stand under the hash at this place, first and last.
    pub(super) fn events(&self, at: usize) -> (u64, u64) {
        let exponent = u32::try_from(self.level).unwrap_or(u32::MAX);
        let each = WIDTH.saturating_pow(exponent);
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        let before = self.n.saturating_mul(WIDTH).saturating_add(at);
        let first = before.saturating_mul(each);
        (first.saturating_add(1), first.saturating_add(each))
    }

    /// The root of the subtree that a full tile stands for.
    fn root(&self) -> Hash {
        let mut hashes = self.hashes.clone();
        while hashes.len() > 1 {
            hashes = hashes
                .chunks(2)
                .map(|pair| node_hash(&pair[0], pair.last().unwrap_or(&pair[0])))
                .collect();
        }
        hashes.pop().unwrap_or_default()
    }
}

/// Where the `n`-th tile of a level stands in an export.
pub(super) fn hashes(level: usize, n: u64, width: usize) -> PathBuf {
    let folder = Path::new("tile").join(level.to_string());
    folder.join(place(n, width))
}

/// Where the `n`-th bundle of `width` events stands in an export.
pub(super) fn entries(n: u64, width: usize) -> PathBuf {
    Path::new("tile/entries").join(place(n, width))
}

/// The last part of a path: `x001/x234/067`, and `.p/<W>` for a partial one.
fn place(n: u64, width: usize) -> String {
    let mut text = format!("{:03}", n % 1_000);
    let mut rest = n / 1_000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1_000);
        rest /= 1_000;
    }
    if width < TILE_WIDTH {
        text = format!("{text}.p/{width}");
    }
    text
}

/// How many hashes a full tile has, as specified.
pub(super) const TILE_WIDTH: usize = 256;

/// The same, for sequences.
const WIDTH: u64 = 256;

#[cfg(test)]
mod tests {
    use provost_protocol::tlog::leaf_hash;

    use super::*;

    #[test]
    fn tiles_stand_where_the_specification_says() {
        assert_eq!(place(0, 256), "000");
        assert_eq!(place(1_234_067, 256), "x001/x234/067");
        assert_eq!(place(1_000, 7), "x001/000.p/7");
        assert_eq!(entries(3, 12), Path::new("tile/entries/003.p/12"));
    }

    /// The example of the specification: 70,000 leaves.
    #[test]
    fn a_log_of_70000_has_273_full_tiles_and_partial_ones_of_112_17_and_1() {
        let mut tiles = Tiles::default();
        let mut full = [0, 0, 0];
        for n in 0_u32..70_000 {
            for tile in tiles.append(leaf_hash(&n.to_be_bytes())) {
                assert_eq!(tile.hashes.len(), TILE_WIDTH);
                assert_eq!(tile.n, full[tile.level]);
                full[tile.level] += 1;
            }
        }
        assert_eq!(full, [273, 1, 0]);
        let partial: Vec<_> = tiles
            .partial()
            .into_iter()
            .map(|tile| (tile.level, tile.n, tile.hashes.len()))
            .collect();
        assert_eq!(partial, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(tiles.frontier().size(), 70_000);
    }

    #[test]
    fn a_full_tile_stands_for_the_root_of_its_leaves() {
        let mut tiles = Tiles::default();
        let mut full = Vec::new();
        for n in 0_u32..256 {
            full = tiles.append(leaf_hash(&n.to_be_bytes()));
        }
        assert_eq!(full.len(), 1);
        assert_eq!(full[0].root(), tiles.frontier().root());
        assert_eq!(tiles.partial()[0].hashes, [tiles.frontier().root()]);
        assert_eq!(full[0].events(0), (1, 1));
        let above = Tile {
            level: 1,
            n: 0,
            hashes: Vec::new(),
        };
        assert_eq!(above.events(1), (257, 512));
    }
}
