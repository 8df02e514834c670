//! OpenAPI 3.1 of the control API.
use serde_json::Value;
/// The document.
pub fn openapi() -> Value {
    Value::Null
}
