"""The gRPC boundary: nothing unchecked passes it."""
