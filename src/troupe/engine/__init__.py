"""The inference engine: token ids in, token ids out. It knows nothing of characters."""
