//! Pools: checkout, release, limits, deadlines.
