"""Format 1 of the file: read for ever, no longer written."""
