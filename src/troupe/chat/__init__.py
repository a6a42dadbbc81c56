"""The chat service: conversation tree, turns, generations, streams, resume. It knows no Django."""
