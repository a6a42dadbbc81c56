"""From nothing to a served model: corpus, tokenizer, pretraining, evaluation, export."""
