//! HOT. The relay between one client and one server.
