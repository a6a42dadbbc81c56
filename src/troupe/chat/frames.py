"""The socket's frames: what clients may send, and what they are sent (protocol version 1).

Client frames are checked by pydantic; server frames are typed for the OpenAPI document, and the
ones sent thousands of times a second are written by hand with orjson. Pure.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .errors import BadFrame, ChatError
from .requests import Branch, Request
from .text import Filled, FrameId, MessageId, Short, Speaker
from .views import MessageView, StateName, View

VERSION = 1
MAX_FRAME_BYTES = 64 * 1024
FRAMES_PER_SECOND = 20

CLOSE_BAD_FRAMES = 4400
CLOSE_UNAUTHORIZED = 4401
CLOSE_TOO_MANY = 4429
CLOSE_RESTARTING = 1012


class Hello(Request):
    """Must be first; a new one may come at any time."""

    type: Literal["hello"]
    v: Literal[1]
    token: Annotated[str, Field(max_length=4096)]


class Send(Request):
    """Keep the user's message, then let a character answer."""

    type: Literal["send"]
    id: FrameId
    chat: Annotated[str, Field(max_length=36)]
    branch: Branch
    client_id: FrameId
    text: Filled
    speak: Speaker | None = None


class Regenerate(Request):
    """Write another candidate of an answer."""

    type: Literal["regenerate"]
    id: FrameId
    message: MessageId
    branch: Branch | None = Field(
        default=None, description="The branch that is shown; the message's own if left out."
    )


class Continue(Request):
    """Write on at the end of the last answer."""

    type: Literal["continue"]
    id: FrameId
    message: MessageId
    branch: Branch | None = None


class Cancel(Request):
    """Stop a generation."""

    type: Literal["cancel"]
    message: MessageId
    id: FrameId | None = None


class Resume(Request):
    """Attach to a running generation."""

    type: Literal["resume"]
    message: MessageId
    epoch: Short | None = None
    seq: Annotated[int, Field(ge=0, le=2**53)] | None = None
    id: FrameId | None = None


class Ping(Request):
    """Answered by `pong`."""

    type: Literal["ping"]


ClientFrame = Annotated[
    Hello | Send | Regenerate | Continue | Cancel | Resume | Ping, Field(discriminator="type")
]
_client: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)


def parse(raw: str) -> ClientFrame:
    """A client's frame. Raises `BadFrame`, which says what is wrong with which field."""
    if len(raw) > MAX_FRAME_BYTES or len(raw.encode("utf-8", "replace")) > MAX_FRAME_BYTES:
        raise BadFrame(f"A frame may have at most {MAX_FRAME_BYTES} bytes.")
    try:
        return _client.validate_json(raw, strict=True)
    except (ValidationError, UnicodeEncodeError) as error:
        raise BadFrame(explain(error)) from error


def explain(error: ValidationError | UnicodeEncodeError) -> str:
    """The first thing that is wrong, in a line, without echoing what was sent."""
    if isinstance(error, UnicodeEncodeError):
        return "A lone surrogate is not a character; remove it."
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


class Limits(View):
    """What a client should know before it sends."""

    message_chars: int
    frame_bytes: int
    frames_per_second: int


class User(View):
    id: str
    name: str
    guest: bool


class ServerFrame(BaseModel):
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Ready(ServerFrame):
    type: Literal["ready"] = "ready"
    v: Literal[1] = 1
    user: User
    limits: Limits


class Accepted(ServerFrame):
    type: Literal["accepted"] = "accepted"
    id: str
    chat: str
    branch: int
    messages: list[MessageView]


class Start(ServerFrame):
    type: Literal["start"] = "start"
    message: str
    epoch: str
    model: str
    text: str


class DeltaFrame(ServerFrame):
    type: Literal["delta"] = "delta"
    message: str
    epoch: str
    seq: int
    text: str


class Done(ServerFrame):
    type: Literal["done"] = "done"
    message: str
    epoch: str
    state: StateName
    body: str
    meta: dict[str, Any]


class Gone(ServerFrame):
    type: Literal["gone"] = "gone"
    message: str
    id: str | None = None


class ErrorFrame(ServerFrame):
    type: Literal["error"] = "error"
    id: str | None = None
    code: str
    message: str
    retry_after: float | None = None


class Pong(ServerFrame):
    type: Literal["pong"] = "pong"


AnyServerFrame = Annotated[
    Ready | Accepted | Start | DeltaFrame | Done | Gone | ErrorFrame | Pong,
    Field(discriminator="type"),
]


def dump(frame: ServerFrame) -> str:
    """A server frame as it goes over the wire."""
    return frame.model_dump_json(exclude_none=frame.__class__ in (Gone, ErrorFrame))


def error_frame(error: ChatError, frame_id: str | None = None) -> str:
    """A refusal."""
    return dump(
        ErrorFrame(
            id=frame_id, code=error.code, message=error.message, retry_after=error.retry_after
        )
    )


def delta_frame(message: str, epoch: str, seq: int, text: str) -> str:
    """A piece of an answer. `message` and `epoch` need no escaping: we made them."""
    return (
        f'{{"type":"delta","message":"{message}","epoch":"{epoch}",'
        f'"seq":{seq},"text":{orjson.dumps(text).decode()}}}'
    )
