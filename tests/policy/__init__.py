"""The decisions, held against a world that applies them and an oracle that knows only the design's text."""
