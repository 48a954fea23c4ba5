//! The states that SHOW CLIENTS and SHOW SERVERS print.

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ClientState {
    /// Not logged in yet.
    Login,
    /// Logged in, no server.
    Idle,
    /// Queued for a server.
    Waiting,
    /// Linked, a query runs.
    Active,
    /// Linked, in a transaction, the client is thinking.
    IdleInTransaction,
    /// A cancel request looking for its server.
    WaitingCancel,
    /// A cancel request on its way.
    ActiveCancel,
}

impl ClientState {
    pub(super) fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::Idle,
            2 => Self::Waiting,
            3 => Self::Active,
            4 => Self::IdleInTransaction,
            5 => Self::WaitingCancel,
            6 => Self::ActiveCancel,
            _ => Self::Login,
        }
    }
}

/// Where a server connection is (surface 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerState {
    /// Connecting or logging in.
    Login,
    /// Ready for the next client.
    Idle,
    /// Linked to a client.
    Active,
    /// Idle, but to be checked before reuse.
    Used,
    /// A reset or check query runs.
    Tested,
    /// A cancel request aimed at it is not finished.
    BeingCanceled,
}

impl ServerState {
    pub(super) fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::Idle,
            2 => Self::Active,
            3 => Self::Used,
            4 => Self::Tested,
            5 => Self::BeingCanceled,
            _ => Self::Login,
        }
    }
}
