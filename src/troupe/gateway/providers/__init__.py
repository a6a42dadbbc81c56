"""Places where models run: Troupe's own engine, and anything that speaks OpenAI's API."""
