/** What a character keeps in mind in this chat: a memory in one's own words, and what was pinned. */
import { useMutation, useQueries } from "@tanstack/react-query";
import { PinOff } from "lucide-react";
import { useState } from "react";
import type { ChatView } from "../api/types";
import { IconButton } from "../ui/Button";
import { TextArea } from "../ui/Field";
import { sayFailed } from "../ui/toast";
import { characterOf, messageQuery } from "./queries";
import { setPinned } from "./useTurnActions";

const MOST = 4000;

export function Recall({ chat, onChange }: { chat: ChatView; onChange: (memory: string) => void }) {
  return (
    <>
      <Memory chat={chat} onChange={onChange} />
      <Pins chat={chat} />
    </>
  );
}

function Memory({ chat, onChange }: { chat: ChatView; onChange: (memory: string) => void }) {
  const [memory, setMemory] = useState(chat.memory);
  const name = characterOf(chat.members)?.name ?? "the character";
  return (
    <TextArea
      label="Memory"
      hint={`What ${name} remembers in this chat, however long it grows. A line for each thing.`}
      value={memory}
      count={memory.length > MOST / 2 ? { now: memory.length, most: MOST } : undefined}
      maxLength={MOST}
      onChange={(event) => setMemory(event.target.value)}
      onBlur={() => {
        if (memory.trim() !== chat.memory) onChange(memory.trim());
      }}
    />
  );
}

function Pins({ chat }: { chat: ChatView }) {
  const messages = useQueries({ queries: chat.pins.map(messageQuery) });
  const unpin = useMutation({
    mutationFn: (message: string) => setPinned(message, false),
    onError: sayFailed,
  });
  return (
    <section aria-labelledby="pins">
      <h3 id="pins" className="mb-2 text-sm font-semibold">
        Pinned
      </h3>
      {chat.pins.length === 0 ? (
        <p className="text-muted text-sm">
          Pin a message from its menu, and it is kept in mind for good.
        </p>
      ) : (
        <ul className="flex flex-col gap-1">
          {chat.pins.map((id, number) => (
            <li key={id} className="flex items-start gap-2">
              <p className="min-w-0 flex-1 py-2 text-sm">
                <span className="font-semibold">{messages[number]?.data?.name ?? "…"}</span>{" "}
                <span className="line-clamp-3 break-words">{messages[number]?.data?.body}</span>
              </p>
              <IconButton label="Unpin" disabled={unpin.isPending} onClick={() => unpin.mutate(id)}>
                <PinOff size={16} aria-hidden />
              </IconButton>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
