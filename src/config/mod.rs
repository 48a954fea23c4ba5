//! Configuration text to an immutable snapshot: ini dialect, settings, databases, users, userlist.
