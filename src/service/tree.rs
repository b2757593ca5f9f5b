//! The sealed tree as the database keeps it.
//!
//! Leaves, and of the nodes above them every eighth level: any other is made from at most 128 of those below it.

use crate::evidence::merkle::{self, Edge, Hash, Node, folded, node_hash};
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::seal;

use super::error::ServiceError;
use super::seal::hash;

/// Every so many levels nodes are kept.
pub const TILE: u32 = 8;
/// So many leaves are read at once rather than by subtree.
const FEW: u64 = 1_024;

/// The hash of a perfect subtree.
///
/// # Errors
/// When not all of it is there.
pub async fn node(tx: &mut Tx, node: Node) -> Result<Hash, ServiceError> {
    let kept = node.level / TILE * TILE;
    let first = node.index << (node.level - kept);
    let count = 1u64 << (node.level - kept);
    let rows = seal::hashes(tx, kept as i32, first as i64, (first + count) as i64).await?;
    if rows.len() as u64 != count {
        return Err(StoreError::Broken("a part of the sealed tree is missing".into()).into());
    }
    let mut level = rows.iter().map(|row| hash(row)).collect::<Result<Vec<Hash>, _>>()?;
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| pair.get(1).map_or(pair[0], |right| node_hash(&pair[0], right))).collect();
    }
    level.pop().ok_or_else(|| StoreError::Broken("a subtree has leaves".into()).into())
}

/// The hash over the leaves `from..to`, a range of a proof; none of an empty one.
///
/// # Errors
/// As [`node`].
pub async fn range(tx: &mut Tx, from: u64, to: u64) -> Result<Option<Hash>, ServiceError> {
    let mut hashes = Vec::new();
    for part in merkle::parts(from, to) {
        hashes.push(node(tx, part).await?);
    }
    Ok(folded(&hashes))
}

/// The hashes of the perfect subtrees that the leaves `from..to` split into, left to right.
///
/// # Errors
/// As [`node`].
pub async fn subtrees(tx: &mut Tx, from: u64, to: u64) -> Result<Vec<Hash>, ServiceError> {
    let parts = merkle::parts(from, to);
    let mut hashes = Vec::with_capacity(parts.len());
    if to - from > FEW {
        for part in parts {
            hashes.push(node(tx, part).await?);
        }
        return Ok(hashes);
    }
    let rows = seal::hashes(tx, 0, from as i64, to as i64).await?;
    let leaves = rows.iter().map(|row| hash(row)).collect::<Result<Vec<Hash>, _>>()?;
    for part in parts {
        let (first, count) = (((part.index << part.level) - from) as usize, 1usize << part.level);
        let leaves = leaves.get(first..first + count).ok_or_else(|| StoreError::Broken("a part of the sealed tree is missing".into()))?;
        let mut level = leaves.to_vec();
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| pair.get(1).map_or(pair[0], |right| node_hash(&pair[0], right))).collect();
        }
        hashes.extend(level.pop());
    }
    Ok(hashes)
}

/// The root of the first `size` leaves.
///
/// # Errors
/// As [`node`].
pub async fn root(tx: &mut Tx, size: u64) -> Result<Hash, ServiceError> {
    Ok(range(tx, 0, size).await?.unwrap_or_else(merkle::empty_root))
}

/// The edge of the tree of the first `size` leaves.
///
/// # Errors
/// As [`node`].
pub async fn edge(tx: &mut Tx, size: u64) -> Result<Edge, ServiceError> {
    let mut hashes = Vec::new();
    for part in merkle::parts(0, size) {
        hashes.push(node(tx, part).await?);
    }
    Edge::of(size, hashes).ok_or_else(|| StoreError::Broken("the sealed tree has no such size".into()).into())
}

/// What proves that leaf `index` is in the tree of `size` leaves, from the leaf up (RFC 6962 §2.1.1).
///
/// # Errors
/// As [`node`].
pub async fn inclusion(tx: &mut Tx, index: u64, size: u64) -> Result<Vec<Hash>, ServiceError> {
    ranges(tx, merkle::inclusion(index, size)).await
}

/// What proves that the tree of `old` leaves is the beginning of the one of `new` leaves (RFC 6962 §2.1.2).
///
/// # Errors
/// As [`node`].
pub async fn consistency(tx: &mut Tx, old: u64, new: u64) -> Result<Vec<Hash>, ServiceError> {
    ranges(tx, merkle::consistency(old, new)).await
}

async fn ranges(tx: &mut Tx, ranges: Vec<(u64, u64)>) -> Result<Vec<Hash>, ServiceError> {
    let mut path = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        path.extend(range(tx, from, to).await?);
    }
    Ok(path)
}
