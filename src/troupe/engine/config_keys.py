"""Keys that writers put into `config.json` and that change no number computed here."""

from __future__ import annotations

HARMLESS = frozenset([
    "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "add_cross_attention",
    "architectures", "attention_dropout", "auto_map", "bad_words_ids", "begin_suppress_tokens",
    "boi_token_index", "cache_implementation", "chunk_size_feed_forward",
    "cross_attention_hidden_size", "decoder_start_token_id", "diversity_penalty", "do_sample",
    "dtype", "early_stopping", "encoder_no_repeat_ngram_size", "eoi_token_index",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id",
    "forced_eos_token_id", "hidden_dropout", "id2label", "image_token_index",
    "initializer_range", "is_decoder", "is_encoder_decoder", "keys_to_ignore_at_inference",
    "label2id", "length_penalty", "max_length", "min_length", "mm_tokens_per_image",
    "model_type", "moe_intermediate_size", "no_repeat_ngram_size", "num_beam_groups",
    "num_beams", "num_experts", "num_return_sequences", "output_attentions",
    "output_hidden_states", "output_scores", "per_layer_config", "prefix", "pretraining_tp",
    "problem_type", "pruned_heads", "remove_invalid_values", "repetition_penalty",
    "return_dict", "return_dict_in_generate", "sep_token_id", "served_model_name",
    "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss",
    "tie_encoder_decoder", "tokenizer_class", "top_k", "top_k_experts", "top_p", "torch_dtype",
    "torchscript", "transformers.js_config", "transformers_version", "typical_p",
    "unsloth_fixed", "unsloth_version", "use_bfloat16", "use_cache",
    "vocab_size_per_layer_input",
])  # fmt: skip
