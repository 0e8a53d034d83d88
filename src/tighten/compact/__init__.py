"""Dead neurons removed for good: a smaller network that any runtime computes faster."""

from tighten.compact.result import Compact, CompactLayer
from tighten.compact.small import compact

__all__ = ["Compact", "CompactLayer", "compact"]
