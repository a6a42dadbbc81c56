"""The models that can answer, as clients are shown them."""

from __future__ import annotations

from .answers import Answers
from .views import ModelList, ModelView


async def list_models(answers: Answers) -> ModelList:
    """All models on offer, and the one that new chats use."""
    offered = await answers.models.models()
    models = [
        ModelView(
            id=model.id,
            name=model.name,
            provider=model.provider,
            context_length=model.context_length,
            ready=model.ready,
            why_not=model.why_not,
        )
        for model in offered
    ]
    ids = [model.id for model in models]
    default = answers.default_model if answers.default_model in ids else next(iter(ids), None)
    return ModelList(models=models, default=default)
