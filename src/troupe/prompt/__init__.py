"""The prompt compiler: template and data in, parts and token ids out. Pure: it does no I/O of its own."""
