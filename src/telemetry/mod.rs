//! L5, logging.
