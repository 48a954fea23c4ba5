//! What a frontend message means, given the client's state.
