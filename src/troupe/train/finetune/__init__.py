"""Fine-tuning a served model: on conversations (SFT), on pairs (DPO, IPO), on thumbs (KTO)."""
