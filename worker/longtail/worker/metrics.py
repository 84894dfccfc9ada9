"""What the worker tells Prometheus."""

import math

from prometheus_client import Counter, Gauge, Histogram, Info

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_POWERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)

# The queue. Lanes are "interactive" and "bulk".
QUEUED_TEXTS = Gauge("longtail_worker_queued_texts", "Texts that wait for inference.", ["lane"])
QUEUED_TOKENS = Gauge("longtail_worker_queued_tokens", "Tokens that wait for inference.", ["lane"])
QUEUE_SECONDS = Histogram(
    "longtail_worker_queue_seconds",
    "From queued to inference, of the text in each batch whose turn it was.",
    ["lane"],
    buckets=_SECONDS,
)
# Reasons of a refused call: overloaded, unfair_share, hopeless (its deadline would pass), expired.
# Reasons of a queued text: hopeless, expired, cancelled, failed.
DROPPED = Counter("longtail_worker_dropped", "Texts not embedded.", ["reason"])
DEADLINE_MISSES = Counter(
    "longtail_worker_deadline_misses", "Texts whose inference ended after their deadline."
)

# Inference. The share of padding is padding_tokens / (tokens + padding_tokens).
BATCH_TEXTS = Histogram("longtail_worker_batch_texts", "Texts in one inference.", buckets=_POWERS)
BATCH_TOKENS = Histogram(
    "longtail_worker_batch_tokens", "Tokens in one inference, padding included.", buckets=_TOKENS
)
TOKENS = Counter("longtail_worker_tokens", "Tokens that went through the encoder.")
PADDING_TOKENS = Counter("longtail_worker_padding_tokens", "Padding that went through beside them.")
TOKENIZE_SECONDS = Histogram(
    "longtail_worker_tokenize_seconds", "Tokenising the texts of one call.", buckets=_SECONDS
)
INFERENCE_SECONDS = Histogram(
    "longtail_worker_inference_seconds", "One inference.", buckets=_SECONDS
)
RESTARTS = Counter("longtail_worker_slot_restarts", "Inference slots that died and were restarted.")

# The cache of vectors.
CACHE_HITS = Counter("longtail_worker_cache_hits", "Texts whose vector was in the cache.")
CACHE_MISSES = Counter("longtail_worker_cache_misses", "Texts whose vector was not in the cache.")
CACHE_BYTES = Gauge("longtail_worker_cache_bytes", "What the vectors in the cache occupy.")
JOINED = Counter(
    "longtail_worker_joined",
    "Texts that waited for the inference of the same text of another call.",
)

# What is loaded, and whether it is right.
MODEL = Info("longtail_worker_model", "The encoder as it is loaded: provider, devices and slots.")
GOLDEN_COSINE = Gauge(
    "longtail_worker_golden_cosine",
    "Lowest cosine of the golden texts' vectors to those of the export, when last checked; NaN "
    "before that.",
)
GOLDEN_COSINE.set(math.nan)
