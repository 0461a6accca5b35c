"""The gRPC server of a gateway: `hearth.v1`, health and reflection."""
