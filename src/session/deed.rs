//! What a statement on its way will have done to its session once PostgreSQL has carried it out.
//!
//! Owns: the exact changes of a statement that makes any, kept from when it is sent (or prepared)
//! until it has completed. Nearly no statement has one.

use std::sync::Arc;

use crate::config::SessionMode;
use crate::sql::{self, Effect, Rules, Statement, Touches, Verb};

/// How closely statements are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch(Touches);

impl Watch {
    /// What `session_state` asks for.
    pub const fn of(mode: SessionMode) -> Self {
        match mode {
            SessionMode::Strict => Self(Touches::EVERY),
            SessionMode::Tracked => Self(Touches::EVERY.without(Touches::FUNCTION)),
            SessionMode::Pgbouncer => Self(Touches::NONE),
        }
    }

    /// HOT. Whether anything is watched.
    #[inline]
    pub const fn is_on(self) -> bool {
        !self.0.is_empty()
    }

    /// HOT. What of a statement matters.
    #[inline]
    pub const fn of_interest(self, touches: Touches) -> Touches {
        touches.and(self.0)
    }
}

/// The changes that one statement makes.
#[derive(Debug, PartialEq, Eq)]
pub struct Deed {
    /// In their order.
    pub effects: Box<[Effect]>,
}

impl Deed {
    /// What a statement of `text` will have done; `None`: nothing that is known by its text.
    pub fn of(text: &[u8], statement: &Statement, rules: Rules) -> Option<Arc<Self>> {
        const CHANGES: Touches = Touches::SETTINGS
            .or(Touches::LISTENING)
            .or(Touches::TRANSACTION);
        let is_plain_control =
            matches!(statement.verb, Verb::Begin | Verb::Commit | Verb::Rollback);
        if !statement.touches.has(CHANGES) || is_plain_control {
            return None;
        }
        let effects = sql::effects(text, statement, rules);
        (!effects.is_empty()).then(|| {
            Arc::new(Self {
                effects: effects.into(),
            })
        })
    }

    /// Whether values that come with a Bind may tell more.
    pub fn awaits_values(&self) -> bool {
        self.effects.contains(&Effect::Unknown("set_config"))
    }

    /// The deed of a statement whose text is not at hand.
    pub fn unknown() -> Arc<Self> {
        Arc::new(Self {
            effects: Box::new([Effect::Unknown("long text")]),
        })
    }
}

/// The deeds of a Query, by the position of their statement in it.
pub type Deeds = Vec<(u32, Arc<Deed>)>;
