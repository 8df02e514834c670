//! L5, the control API: HTTP and JSON over a Unix socket, server and client.
