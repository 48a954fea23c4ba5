//! One PostgreSQL connection: connect, login, state.
