"""Codecs: how codes become bytes. Each is one function that works in both directions."""
