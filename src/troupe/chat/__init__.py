"""The chat service: conversation tree, turns, generations, streaming, resume. It imports no Django."""
