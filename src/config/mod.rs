//! L5, the configuration schema, its loader with diagnostics, and validation.
