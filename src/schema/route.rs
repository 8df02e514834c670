//! `MulticastRoute`: a rule as a Kubernetes object.

use crate::config::v1::{Health, InputSpec, OutputSpec, RuleSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The API group of all kinds.
pub const GROUP: &str = "mcr.dev";

/// What is to be relayed, and on which nodes. All but `nodeSelector` and `placement` is a rule as in the
/// file of mcrd, whose name is the name of the object.
// An object read from a cluster parses, with values such as the TTL as objects. It serialises with their
// short forms, which the API server refuses: agents write the status only.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "mcr.dev",
    version = "v1alpha1",
    kind = "MulticastRoute",
    plural = "multicastroutes",
    singular = "multicastroute",
    shortname = "mroute",
    category = "multicast",
    status = "MulticastRouteStatus",
    schema = "disabled",
    doc = "One forwarding intent: datagrams of one input go to all of its outputs, on the nodes selected.",
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredNodes"),
    printcolumn(name = "Programmed", type_ = "integer", json_path = ".status.programmedNodes"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.failedNodes"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Group", type_ = "string", json_path = ".spec.input.group", priority = 1),
    printcolumn(name = "Groups", type_ = "string", json_path = ".spec.input.groups", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("required" = ["input", "outputs"]))]
pub struct MulticastRouteSpec {
    /// The nodes that relay, by their labels; absent or empty: every node that runs the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "label_selector")]
    pub node_selector: Option<LabelSelector>,
    /// How many of the selected nodes relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// False: the rule is known and listed, but has no effect. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where two rules want the same copy rewritten differently, the higher priority wins: 0 to 1000,
    /// default 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1000))]
    pub priority: Option<u16>,
    /// What the rule takes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<InputSpec>,
    /// Where the copies go: at least one, at most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256))]
    pub outputs: Vec<OutputSpec>,
    /// How the health of the stream is judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// How many of the selected nodes relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Placement {
    /// On which of the selected nodes the rule is at work. Default EveryNode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<PlacementMode>,
}

/// On which of the selected nodes a rule is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlacementMode {
    /// On all of them: for outputs within the node.
    EveryNode,
    /// On one, which is elected: for outputs outside, which else get a copy from each node.
    SingleNode,
}

/// What became of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MulticastRouteStatus {
    /// The generation of the spec that all of this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Nodes that should relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired_nodes: Option<i32>,
    /// Nodes whose workers have the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programmed_nodes: Option<i32>,
    /// Nodes that cannot relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_nodes: Option<i32>,
    /// Some of the nodes that cannot relay, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub failures: Vec<NodeFailure>,
    /// Accepted: the spec can be used. Programmed: the workers of all nodes have it. Ready: both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// Why a node cannot relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeFailure {
    /// The node's name.
    pub node: String,
    /// The reason in one word, such as InterfaceNotFound.
    pub reason: String,
    /// The reason in a sentence.
    #[schemars(length(max = 256))]
    pub message: String,
}

impl MulticastRoute {
    /// The rule that the object asks for.
    pub fn rule(&self) -> RuleSpec {
        let spec = self.spec.clone();
        // Without `..`: a new field of a rule does not compile until it is here too.
        RuleSpec {
            id: None,
            name: self.metadata.name.clone(),
            enabled: spec.enabled,
            priority: spec.priority,
            input: spec.input,
            outputs: spec.outputs,
            health: spec.health,
        }
    }
}

/// `LabelSelector` of meta/v1.
fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels that the node must have.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
            "matchExpressions": {
                "description": "Requirements that the node's labels must meet, all of them.",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"description": "The label.", "type": "string"},
                        "operator": {
                            "description": "In, NotIn, Exists or DoesNotExist.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "The values for In and NotIn.",
                            "type": "array",
                            "items": {"type": "string"},
                        },
                    },
                },
            },
        },
    })
}

/// A list of `Condition` of meta/v1, one of each type.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "description": "What it is about.",
                    "type": "string", "maxLength": 316,
                },
                "status": {
                    "description": "True, False or Unknown.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The generation of the spec that it is about.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string", "format": "date-time",
                },
                "reason": {
                    "description": "The reason in one word.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "The reason in a sentence.",
                    "type": "string", "maxLength": 32768,
                },
            },
        },
    })
}
