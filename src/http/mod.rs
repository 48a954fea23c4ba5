//! HTTP face: /metrics, /healthz, /readyz.
