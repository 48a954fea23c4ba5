//! Transaction mode: when a server is linked and released (surface 6.2).

use crate::support::{Bouncer, Pg};

#[test]
fn a_client_gets_a_server_for_each_transaction() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let (mut a, mut b) = (bouncer.client(), bouncer.client());
    assert_eq!(a.one("select 1"), "1");
    assert_eq!(b.one("select 2"), "2");
    assert_eq!(a.backend(), b.backend(), "one server serves both in turn");
}
