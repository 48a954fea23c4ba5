//! Sockets, TLS, buffers, listeners.
