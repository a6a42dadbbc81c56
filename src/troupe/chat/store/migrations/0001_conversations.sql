-- Conversations. Keys begin with the chat, a random UUID, so that a store that shards by range
-- spreads them; a chat's rows lie together, in the order in which they are read.
-- No foreign keys: a chat is locked where its being there matters, and deleted as a whole.

CREATE TABLE chat.chat (
    chat_id uuid PRIMARY KEY,
    title text NOT NULL,
    active_branch integer NOT NULL,
    last_branch integer NOT NULL, -- the highest number given to a branch
    created_at timestamptz NOT NULL,
    meta jsonb NOT NULL
);

CREATE TABLE chat.member (
    chat_id uuid NOT NULL,
    speaker text NOT NULL,
    place integer NOT NULL,
    name text NOT NULL,
    version_id uuid,
    persona_id uuid,
    PRIMARY KEY (chat_id, speaker)
);

CREATE TABLE chat.branch (
    chat_id uuid NOT NULL,
    branch integer NOT NULL,
    parent integer,
    fork_seq integer NOT NULL,
    fork_alt integer NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (chat_id, branch)
);

CREATE TABLE chat.message (
    chat_id uuid NOT NULL,
    branch integer NOT NULL,
    seq integer NOT NULL,
    alt integer NOT NULL,
    speaker text NOT NULL,
    state text NOT NULL,
    chosen boolean NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    meta jsonb NOT NULL,
    PRIMARY KEY (chat_id, branch, seq, alt)
);

-- Settled turns, compressed. Keyed by the last turn, so that the segment that covers a turn is
-- the first one at or after it.
CREATE TABLE chat.segment (
    chat_id uuid NOT NULL,
    branch integer NOT NULL,
    last_seq integer NOT NULL,
    first_seq integer NOT NULL,
    codec smallint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (chat_id, branch, last_seq)
);

-- Branches that have enough turns to seal, noted by the append that made them so.
CREATE TABLE chat.ripe (
    chat_id uuid NOT NULL,
    branch integer NOT NULL,
    PRIMARY KEY (chat_id, branch)
);

-- A user's list of chats.
CREATE TABLE chat.inbox (
    chat_id uuid NOT NULL,
    speaker text NOT NULL,
    last_at timestamptz NOT NULL,
    last_line text NOT NULL,
    PRIMARY KEY (chat_id, speaker)
);
CREATE INDEX inbox_newest ON chat.inbox (speaker, last_at DESC);

-- What a client sent, so that sending it again writes nothing.
CREATE TABLE chat.sent (
    chat_id uuid NOT NULL,
    client_id text NOT NULL,
    keys jsonb NOT NULL, -- [[branch, seq, alt], ...]
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (chat_id, client_id)
);

-- Answers that are being written, and by whom; an empty owner is nobody yet.
CREATE TABLE chat.generation (
    chat_id uuid NOT NULL,
    branch integer NOT NULL,
    seq integer NOT NULL,
    alt integer NOT NULL,
    owner text NOT NULL,
    epoch text NOT NULL,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (chat_id, branch, seq, alt)
);

CREATE TABLE chat.owner (
    owner text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
