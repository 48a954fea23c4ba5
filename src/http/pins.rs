//! `pgweir_pins`: clients that keep their server between transactions, now, by reason.
//!
//! Reads the slots of clients, one pass a scrape. Pools without pins have no samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{Kind, Text};
use crate::pool::Directory;

/// Clients by database, pool user and reason.
pub type Counts = BTreeMap<(Arc<str>, Arc<str>, &'static str), u64>;

/// One reading.
pub fn read(directory: &Directory) -> Counts {
    let mut counts = Counts::new();
    directory.shared.registry.each_client(|slot| {
        let reasons = slot.pin.reasons();
        let Some(who) = slot.identity().filter(|_| !reasons.is_empty()) else {
            return;
        };
        let known = directory.known(&who.database);
        let user = known.map_or_else(|| Arc::clone(&who.user), |known| known.pool_user(&who.user));
        for reason in reasons.words() {
            let key = (Arc::clone(&who.database), Arc::clone(&user), reason);
            *counts.entry(key).or_default() += 1;
        }
    });
    counts
}

/// Writes the family.
pub fn write(text: &mut Text, counts: &Counts) {
    let help = "Clients that keep their server between transactions, by reason.";
    let mut family = text.family("pgweir_pins", Kind::Gauge, help);
    for ((database, user, reason), count) in counts {
        let labels = [
            ("database", &**database),
            ("user", &**user),
            ("reason", *reason),
        ];
        family.sample(&labels, count);
    }
}
