"""The one question of `grpc.health.v1` that a client asks: whether the whole server serves.

Its messages are smaller than the dependency that defines them, so they are written out here.
"""

CHECK = "/grpc.health.v1.Health/Check"
# HealthCheckRequest{service: ""}: the server as a whole.
WHOLE_SERVER = b""
# HealthCheckResponse{status: SERVING}.
SERVING = b"\x08\x01"

POLL_SECONDS = 0.1
CHECK_SECONDS = 1.0
