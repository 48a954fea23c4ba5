//! What a client set, what a server has, and the difference.
