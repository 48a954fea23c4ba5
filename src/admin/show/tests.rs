use super::*;

/// `name:t` for every column; i int4, q int8, n numeric, t text.
fn shape(topic: Topic) -> String {
    let letter = |kind| match kind {
        Kind::T => 't',
        Kind::F => 'f',
        Kind::I => 'i',
        Kind::Q => 'q',
        Kind::N => 'n',
    };
    let columns = columns_of(topic).unwrap_or_default().iter();
    let all: Vec<_> = columns
        .map(|(name, kind)| format!("{name}:{}", letter(*kind)))
        .collect();
    all.join(" ")
}

fn typed(names: &str, kind: char) -> String {
    let all: Vec<_> = names
        .split_whitespace()
        .map(|n| format!("{n}:{kind}"))
        .collect();
    all.join(" ")
}

const SOCKET: &str = "type:t user:t database:t replication:t state:t addr:t port:i local_addr:t \
                      local_port:i connect_time:t request_time:t wait:i wait_us:i close_needed:i \
                      ptr:t link:t remote_pid:i tls:t application_name:t prepared_statements:i id:i";
const COUNTS: &str = "server_assignment_count xact_count query_count bytes_received bytes_sent \
                      xact_time query_time wait_time";

#[test]
fn columns_are_pgbouncers_in_its_order() {
    for (topic, expected) in [
        (Topic::Version, "version:t"),
        (Topic::State, "key:t value:t"),
        (Topic::Config, "key:t value:t default:t changeable:t"),
        (
            Topic::Databases,
            "name:t host:t port:i database:t force_user:t pool_size:i min_pool_size:i \
             reserve_pool_size:i server_lifetime:i pool_mode:t load_balance_hosts:t \
             max_connections:i current_connections:i max_client_connections:i \
             current_client_connections:i paused:i disabled:i",
        ),
        (
            Topic::Pools,
            "database:t user:t cl_active:i cl_waiting:i cl_active_cancel_req:i \
             cl_waiting_cancel_req:i sv_active:i sv_active_cancel:i sv_being_canceled:i sv_idle:i \
             sv_used:i sv_tested:i sv_login:i maxwait:i maxwait_us:i pool_mode:t \
             load_balance_hosts:t",
        ),
        (Topic::Peers, "peer_id:i host:t port:i pool_size:i"),
        (
            Topic::PeerPools,
            "peer_id:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active_cancel:i sv_login:i",
        ),
        (Topic::Clients, SOCKET),
        (Topic::Servers, SOCKET),
        (
            Topic::Users,
            "name:t pool_size:t reserve_pool_size:t pool_mode:t max_user_connections:i \
             current_connections:i max_user_client_connections:i current_client_connections:i",
        ),
        (Topic::Lists, "list:t items:i"),
        (Topic::Totals, "name:t value:n"),
        (Topic::Mem, "name:t size:i used:i free:i memtotal:i"),
        (Topic::DnsHosts, "hostname:t ttl:q addrs:t"),
        (Topic::DnsZones, "zonename:t serial:q count:i"),
    ] {
        assert_eq!(shape(topic), expected, "{topic:?}");
    }
}

#[test]
fn columns_of_figures_keep_their_mixed_names() {
    let details = "recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail";
    let sockets = format!("{SOCKET} {}", typed(details, 'i'));
    assert_eq!(shape(Topic::Sockets), sockets);
    assert_eq!(shape(Topic::ActiveSockets), sockets);
    let stats = "total_server_assignment_count total_xact_count total_query_count total_received \
                 total_sent total_xact_time total_query_time total_wait_time \
                 total_client_parse_count total_server_parse_count total_bind_count \
                 total_client_login_count avg_server_assignment_count avg_xact_count \
                 avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time \
                 avg_client_parse_count avg_server_parse_count avg_bind_count \
                 avg_client_login_count";
    assert_eq!(
        shape(Topic::Stats),
        format!("database:t {}", typed(stats, 'n'))
    );
    let totals =
        format!("{COUNTS} client_parse_count server_parse_count bind_count client_login_count");
    assert_eq!(
        shape(Topic::StatsTotals),
        format!("database:t {}", typed(&totals, 'n'))
    );
    let averages = format!(
        "{COUNTS} avg_client_parse_count avg_server_parse_count avg_bind_count avg_client_login_count"
    );
    assert_eq!(
        shape(Topic::StatsAverages),
        format!("database:t {}", typed(&averages, 'n'))
    );
}

#[test]
fn every_topic_has_as_many_cells_as_columns() {
    let directory = super::super::tests::directory();
    for &(name, topic) in super::super::grammar::TOPICS {
        let table = table(topic, &directory);
        for row in &table.rows {
            assert_eq!(row.len(), table.columns.len(), "{name}");
        }
    }
}
