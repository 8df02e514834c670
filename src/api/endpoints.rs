//! What can be asked, as a list: for the OpenAPI document and its test.

/// Each method and path that `routes` registers.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/v1/ping"),
    ("GET", "/v1/rules"),
    ("POST", "/v1/rules"),
    ("PUT", "/v1/rules"),
    ("GET", "/v1/rules/{key}"),
    ("DELETE", "/v1/rules/{key}"),
    ("GET", "/v1/stats"),
    ("GET", "/v1/workers"),
    ("GET", "/v1/interfaces"),
    ("GET", "/v1/mroute"),
    ("GET", "/v1/igmp/groups"),
    ("GET", "/v1/igmp/interfaces"),
    ("GET", "/v1/igmp/stats"),
    ("GET", "/v1/config"),
    ("GET", "/v1/events"),
    ("GET", "/v1/log-level"),
    ("PUT", "/v1/log-level"),
    ("POST", "/v1/upgrade"),
    ("POST", "/v1/dataplane/upgrade"),
];
