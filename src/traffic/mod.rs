//! L5, mcrgen: a paced sender, a verifying receiver, a JSON report.
