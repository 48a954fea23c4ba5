//! Counters and slots: the one source for SHOW and /metrics.
