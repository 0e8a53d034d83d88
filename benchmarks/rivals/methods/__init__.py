"""One rival a file: `train(lesson, row, **setting)` gives back the compressed network."""
