"""The table of HTTP endpoints under `/chat/v1`: routes and the OpenAPI document come from it.

It names types only; `http.py` gives each endpoint its handler by `name`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from . import requests, views

PREFIX = "/chat/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and path. `answer` is None for 204; `stream` is an SSE stream of frames."""

    name: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    answer: type[BaseModel] | None = None
    status: int = 200
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    stream: bool = False


ENDPOINTS = (
    Endpoint("models", "GET", "/models", "Models that can answer", views.ModelList),
    Endpoint(
        "list_chats",
        "GET",
        "/chats",
        "Your chats, most recently active first",
        views.ChatList,
        query=requests.ChatsQuery,
    ),
    Endpoint(
        "create_chat",
        "POST",
        "/chats",
        "Begin a chat; turn 0 has the character's greetings as candidates",
        views.ChatView,
        status=201,
        body=requests.NewChat,
    ),
    Endpoint("get_chat", "GET", "/chats/{chat}", "A chat without its turns", views.ChatView),
    Endpoint(
        "change_chat",
        "PATCH",
        "/chats/{chat}",
        "Rename; choose model, sampling or persona; write the memory; show another branch",
        views.ChatView,
        body=requests.ChatChange,
    ),
    Endpoint(
        "delete_chat", "DELETE", "/chats/{chat}", "Delete a chat and all in it for good", status=204
    ),
    Endpoint(
        "list_turns",
        "GET",
        "/chats/{chat}/turns",
        "Turns of a branch, oldest first",
        views.TurnList,
        query=requests.TurnsQuery,
    ),
    Endpoint("get_message", "GET", "/messages/{message}", "A message", views.MessageView),
    Endpoint(
        "send",
        "POST",
        "/chats/{chat}/send",
        "Keep a message and stream the answer to it",
        body=requests.SendBody,
        stream=True,
    ),
    Endpoint(
        "regenerate",
        "POST",
        "/messages/{message}/regenerate",
        "Stream another candidate of an answer; if turns follow, on a new branch",
        body=requests.OnBranch,
        body_optional=True,
        stream=True,
    ),
    Endpoint(
        "continue",
        "POST",
        "/messages/{message}/continue",
        "Stream more at the end of the last answer",
        body=requests.OnBranch,
        body_optional=True,
        stream=True,
    ),
    Endpoint(
        "cancel",
        "POST",
        "/messages/{message}/cancel",
        "Stop the generation of a message, if one runs",
        status=204,
    ),
    Endpoint(
        "choose",
        "POST",
        "/messages/{message}/choose",
        "Choose a candidate; if turns follow, on a new branch",
        views.BranchTurn,
        body=requests.ChooseBody,
    ),
    Endpoint(
        "edit",
        "POST",
        "/messages/{message}/edit",
        "Add a candidate with this text and choose it; if turns follow, on a new branch",
        views.BranchTurn,
        body=requests.EditBody,
    ),
    Endpoint(
        "pin",
        "POST",
        "/messages/{message}/pin",
        "Keep a message in every prompt of the branches that show it",
        views.ChatView,
    ),
    Endpoint(
        "unpin",
        "DELETE",
        "/messages/{message}/pin",
        "Leave a pinned message to the history again",
        views.ChatView,
    ),
    Endpoint(
        "branch",
        "POST",
        "/chats/{chat}/branch",
        "A new branch that holds the turns up to and with `seq`",
        views.NewBranch,
        body=requests.BranchBody,
    ),
    Endpoint(
        "erase_turn",
        "DELETE",
        "/chats/{chat}/turns/{branch}/{seq}",
        "Erase a turn for good",
        status=204,
    ),
)
