//! The control plane: takes pipelines, queues tasks, leases them to runners, keeps what they
//! send.
