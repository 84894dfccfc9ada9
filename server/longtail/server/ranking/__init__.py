"""Pure ranking: arrays in, arrays out. No store, no index, no gRPC."""
