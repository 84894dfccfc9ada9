"""What the worker tells Prometheus."""

from prometheus_client import Counter, Gauge, Histogram, Info

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_POWERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

QUEUED_TOKENS = Gauge("longtail_worker_queued_tokens", "Tokens that wait for inference.")
BATCH_TEXTS = Histogram("longtail_worker_batch_texts", "Texts in one inference.", buckets=_POWERS)
TOKENS = Counter("longtail_worker_tokens", "Tokens that went through the encoder.")
PADDING_TOKENS = Counter("longtail_worker_padding_tokens", "Padding that went through beside them.")
QUEUE_SECONDS = Histogram(
    "longtail_worker_queue_seconds", "From tokenised to inference, of one text.", buckets=_SECONDS
)
TOKENIZE_SECONDS = Histogram(
    "longtail_worker_tokenize_seconds", "Tokenising the texts of one call.", buckets=_SECONDS
)
INFERENCE_SECONDS = Histogram(
    "longtail_worker_inference_seconds", "One inference.", buckets=_SECONDS
)
DROPPED = Counter("longtail_worker_dropped", "Texts not embedded.", ["reason"])
MODEL = Info("longtail_worker_model", "The encoder as it is loaded.")
