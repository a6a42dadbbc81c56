"""The inference engine: token ids in, token ids out. It knows nothing of characters.

    from troupe.engine.engine import Engine        # as a library
    from troupe.engine.server import create_app    # as an OpenAI-compatible server
    from troupe.engine.ref import Model            # the model itself, for training

Nothing is imported here, so that reading a config does not load torch.
"""
