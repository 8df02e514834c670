//! What can be asked of the control API, in words.

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// The schema of the request's body.
    pub(super) body: Option<&'static str>,
    pub(super) answers: &'static [Answer],
}

/// A part of the path or of the query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) meaning: &'static str,
    /// What it can be; empty = any text.
    pub(super) words: &'static [&'static str],
}

/// An answer that is no refusal.
pub(super) struct Answer {
    pub(super) status: &'static str,
    pub(super) meaning: &'static str,
    pub(super) body: Body,
}

/// The document of an answer, by the name of its schema.
pub(super) enum Body {
    One(&'static str),
    List(&'static str),
    /// One JSON object a line, until one side ends it.
    Lines(&'static str),
}

const fn ok(meaning: &'static str, body: Body) -> Answer {
    Answer { status: "200", meaning, body }
}

const KEY: Parameter = Parameter {
    name: "key",
    place: "path",
    meaning: "The rule's id, its origin and name (runtime/cam, percent-encoded), or its name where only \
              one rule has it.",
    words: &[],
};
const DRY_RUN: Parameter = Parameter {
    name: "dryRun",
    place: "query",
    meaning: "True: the answer says what the change would do, and nothing is done.",
    words: &["true", "false"],
};
const ORIGIN: Parameter = Parameter {
    name: "origin",
    place: "query",
    meaning: "Only rules of this origin.",
    words: &["file", "crd", "runtime"],
};

const INTERFACE: Parameter = Parameter {
    name: "interface",
    place: "query",
    meaning: "Only the interface of this name.",
    words: &[],
};

const fn get(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation { method: "get", path, id, summary, parameters: &[], body: None, answers }
}

pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/ping", "ping", "Who answers", &[ok("The daemon.", Body::One("Pong"))]),
    get(
        "/v1/rules",
        "listRules",
        "All rules with state and counters",
        &[ok("The rules.", Body::List("RuleJson"))],
    ),
    Operation {
        method: "post",
        path: "/v1/rules",
        id: "addRule",
        summary: "Add a rule of origin runtime",
        parameters: &[DRY_RUN],
        body: Some("RuleSpec"),
        answers: &[
            Answer {
                status: "201",
                meaning: "The rule is there; the workers have it.",
                body: Body::One("RuleJson"),
            },
            ok(
                "The same rule was there already; with dryRun, what would happen.",
                Body::One("RuleOrChanges"),
            ),
        ],
    },
    Operation {
        method: "put",
        path: "/v1/rules",
        id: "replaceRules",
        summary: "Make the rules of origin runtime those of a document, all or nothing",
        parameters: &[DRY_RUN],
        body: Some("Document"),
        answers: &[ok("What changed, or would change.", Body::One("ChangesJson"))],
    },
    Operation {
        parameters: &[KEY],
        ..get("/v1/rules/{key}", "showRule", "One rule", &[ok("The rule.", Body::One("RuleJson"))])
    },
    Operation {
        method: "delete",
        path: "/v1/rules/{key}",
        id: "removeRule",
        summary: "Remove a rule of origin runtime",
        parameters: &[KEY, DRY_RUN],
        body: None,
        answers: &[ok(
            "The rule as it was; with dryRun, what would happen.",
            Body::One("RuleOrChanges"),
        )],
    },
    get(
        "/v1/stats",
        "stats",
        "Counters of everything",
        &[ok("The counters.", Body::One("StatsJson"))],
    ),
    get(
        "/v1/workers",
        "listWorkers",
        "The worker threads",
        &[ok("The workers.", Body::List("WorkerStatus"))],
    ),
    get(
        "/v1/interfaces",
        "listInterfaces",
        "The network interfaces as the relay sees them",
        &[ok("The interfaces.", Body::List("InterfaceStatus"))],
    ),
    get(
        "/v1/mroute",
        "mroute",
        "The forwarding entries, and the memberships asked for upstream",
        &[ok("The forwarding state.", Body::One("Mroute"))],
    ),
    Operation {
        parameters: &[INTERFACE],
        ..get(
            "/v1/igmp/groups",
            "igmpGroups",
            "Groups that have members on our links",
            &[ok("The groups.", Body::List("IgmpGroup"))],
        )
    },
    Operation {
        parameters: &[INTERFACE],
        ..get(
            "/v1/igmp/interfaces",
            "igmpInterfaces",
            "Interfaces on which IGMP runs",
            &[ok("The interfaces.", Body::List("IgmpInterface"))],
        )
    },
    Operation {
        parameters: &[INTERFACE],
        ..get(
            "/v1/igmp/stats",
            "igmpStats",
            "What IGMP has counted, by interface",
            &[ok("The counters.", Body::List("IgmpStatistics"))],
        )
    },
    Operation {
        parameters: &[ORIGIN],
        ..get(
            "/v1/config",
            "showConfig",
            "The running rules as a configuration file has them",
            &[ok("The rules.", Body::One("Document"))],
        )
    },
    get(
        "/v1/events",
        "listen",
        "What changes, as it changes",
        &[ok("One JSON object a line, without end.", Body::Lines("EventJson"))],
    ),
    get("/v1/log-level", "logLevel", "What is logged", &[ok("The levels.", Body::One("LogLevel"))]),
    Operation {
        method: "put",
        path: "/v1/log-level",
        id: "setLogLevel",
        summary: "Log more or less, until the daemon stops",
        parameters: &[],
        body: Some("SetLogLevel"),
        answers: &[ok("The levels from now on.", Body::One("LogLevel"))],
    },
    Operation {
        method: "post",
        path: "/v1/upgrade",
        id: "upgrade",
        summary: "Replace the daemon by the program that stands on disk now; forwarding goes on",
        parameters: &[],
        body: None,
        answers: &[ok(
            "What is done at once; the next ping is answered by the new program.",
            Body::One("Upgrade"),
        )],
    },
    Operation {
        method: "post",
        path: "/v1/dataplane/upgrade",
        id: "upgradeDataPlane",
        summary: "Replace the data plane by one of the daemon's program; it takes over all ports",
        parameters: &[],
        body: None,
        answers: &[ok("What was done.", Body::One("DataPlaneUpgrade"))],
    },
];
