/** A chat's own settings: name, who you are in it, what is remembered, model and style, branches, the end of it. */
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { ChatView, Sampling } from "../api/types";
import { chat as api, unwrap } from "../lib/http";
import { queries } from "../lib/query";
import { personasQuery } from "../settings/queries";
import { Button } from "../ui/Button";
import { Confirm, Sheet } from "../ui/Dialog";
import { SelectField, TextField } from "../ui/Field";
import { say, sayFailed } from "../ui/toast";
import { Branches } from "./Branches";
import { keepChat, modelsQuery } from "./queries";
import { Recall } from "./Recall";
import { SamplingFields } from "./SamplingFields";

interface DrawerProps {
  chat: ChatView;
  onClose: () => void;
}

interface Change {
  title?: string;
  model?: string | null;
  persona?: string | null;
  sampling?: Sampling | null;
  memory?: string | null;
}

export function Drawer({ chat, onClose }: DrawerProps) {
  const change = useMutation({
    mutationFn: (body: Change) =>
      unwrap(api.PATCH("/chat/v1/chats/{chat}", { params: { path: { chat: chat.id } }, body })),
    onSuccess: keepChat,
    onError: sayFailed,
  });
  return (
    <Sheet open onOpenChange={onClose} title="This chat">
      <div className="flex flex-col gap-8">
        <Title chat={chat} onChange={(title) => change.mutate({ title })} />
        <PersonaField chat={chat} onChange={(persona) => change.mutate({ persona })} />
        <Recall chat={chat} onChange={(memory) => change.mutate({ memory })} />
        <ModelField chat={chat} onChange={(model) => change.mutate({ model })} />
        <SamplingFields
          sampling={chat.sampling}
          onChange={(sampling) => change.mutate({ sampling })}
        />
        <Branches chat={chat} />
        <DeleteChat chat={chat} />
      </div>
    </Sheet>
  );
}

function Title({ chat, onChange }: { chat: ChatView; onChange: (title: string) => void }) {
  const [title, setTitle] = useState(chat.title);
  const save = () => {
    const name = title.trim();
    if (name !== "" && name !== chat.title) onChange(name);
    else setTitle(chat.title);
  };
  return (
    <TextField
      label="Name"
      value={title}
      maxLength={200}
      onChange={(event) => setTitle(event.target.value)}
      onBlur={save}
      onKeyDown={(event) => {
        if (event.key === "Enter") event.currentTarget.blur();
      }}
    />
  );
}

function PersonaField({
  chat,
  onChange,
}: {
  chat: ChatView;
  onChange: (persona: string | null) => void;
}) {
  const personas = useQuery(personasQuery).data?.items ?? [];
  const me = chat.members.find((member) => member.speaker.startsWith("user:"));
  return (
    <SelectField
      label="You are"
      hint={personas.length === 0 ? "Write personas in your settings." : undefined}
      value={me?.persona_id ?? ""}
      onChange={(event) => onChange(event.target.value === "" ? null : event.target.value)}
    >
      <option value="">Yourself</option>
      {personas.map((persona) => (
        <option key={persona.id} value={persona.id}>
          {persona.name}
        </option>
      ))}
    </SelectField>
  );
}

function ModelField({
  chat,
  onChange,
}: {
  chat: ChatView;
  onChange: (model: string | null) => void;
}) {
  const answer = useQuery(modelsQuery).data;
  const models = answer?.models ?? [];
  const usual = models.find((model) => model.id === answer?.default);
  const chosen = models.find((model) => model.id === (chat.model ?? answer?.default));
  const lost = chat.model !== null && models.every((model) => model.id !== chat.model);
  return (
    <SelectField
      label="Model"
      hint={
        chosen === undefined
          ? undefined
          : chosen.ready
            ? `${chosen.provider}, remembers ${chosen.context_length.toLocaleString()} tokens`
            : chosen.why_not
      }
      value={chat.model ?? ""}
      onChange={(event) => onChange(event.target.value === "" ? null : event.target.value)}
    >
      <option value="">{usual === undefined ? "The default" : `The default: ${usual.name}`}</option>
      {lost && <option value={chat.model ?? ""}>{chat.model} (not here now)</option>}
      {models.map((model) => (
        <option key={model.id} value={model.id}>
          {model.ready ? model.name : `${model.name} (not ready)`}
        </option>
      ))}
    </SelectField>
  );
}

function DeleteChat({ chat }: { chat: ChatView }) {
  const [asking, setAsking] = useState(false);
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () =>
      unwrap(api.DELETE("/chat/v1/chats/{chat}", { params: { path: { chat: chat.id } } })),
    onSuccess: async () => {
      await navigate({ to: "/" });
      queries.removeQueries({ queryKey: ["chat", chat.id] });
      await queries.invalidateQueries({ queryKey: ["chats"] });
      say("The chat is deleted.");
    },
    onError: sayFailed,
  });
  return (
    <div className="border-line border-t pt-6">
      <Button look="danger" onClick={() => setAsking(true)} busy={remove.isPending}>
        Delete this chat
      </Button>
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title="Delete this chat?"
        body="Everything in it is erased for good, on all branches."
        verb="Delete"
        onConfirm={() => remove.mutate()}
      />
    </div>
  );
}
