//! Fingerprints are stable for ever: stored ones must mean the same after every upgrade.
