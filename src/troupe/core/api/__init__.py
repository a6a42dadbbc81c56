"""The HTTP API under /api/v1: thin routers that parse, call an action, and say what came of it."""
