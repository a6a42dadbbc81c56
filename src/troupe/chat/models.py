"""The models that can answer, as clients are shown them."""

from __future__ import annotations

from .answers import Answers, default_of
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
    default = default_of(answers.default_model, offered) if offered else answers.default_model
    return ModelList(models=models, default=default)
