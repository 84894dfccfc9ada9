"""The recommendation server: catalogue, index, ranking, and the gRPC services over them."""
