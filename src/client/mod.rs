//! A client from accept to goodbye: startup, login, idle, cancel.
