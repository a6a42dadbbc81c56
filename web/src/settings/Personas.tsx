/** Who one is to the characters. */
import { useMutation, useQuery } from "@tanstack/react-query";
import { Pencil, Trash2 } from "lucide-react";
import { useState, type SyntheticEvent } from "react";
import type { Persona } from "../api/types";
import { ApiError } from "../lib/errors";
import { core, unwrap } from "../lib/http";
import { queries } from "../lib/query";
import { Button, IconButton } from "../ui/Button";
import { Confirm, Dialog } from "../ui/Dialog";
import { TextArea, TextField } from "../ui/Field";
import { Failed, Skeleton } from "../ui/States";
import { sayFailed } from "../ui/toast";
import { personasQuery } from "./queries";

const refresh = () => queries.invalidateQueries({ queryKey: ["personas"] });

export function Personas() {
  const { data, error, refetch } = useQuery(personasQuery);
  const [editing, setEditing] = useState<Persona | "new" | null>(null);
  if (error !== null) return <Failed error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <Skeleton className="h-20" />;
  return (
    <>
      {data.items.length > 0 && (
        <ul className="border-line divide-line divide-y border-y">
          {data.items.map((persona) => (
            <PersonaRow key={persona.id} persona={persona} onEdit={() => setEditing(persona)} />
          ))}
        </ul>
      )}
      <div>
        <Button small onClick={() => setEditing("new")}>
          Write a persona
        </Button>
      </div>
      {editing !== null && (
        <PersonaDialog
          persona={editing === "new" ? null : editing}
          onClose={() => setEditing(null)}
        />
      )}
    </>
  );
}

function PersonaRow({ persona, onEdit }: { persona: Persona; onEdit: () => void }) {
  const [asking, setAsking] = useState(false);
  const path = { persona_id: persona.id };
  const remove = useMutation({
    mutationFn: () => unwrap(core.DELETE("/api/v1/personas/{persona_id}", { params: { path } })),
    onSuccess: refresh,
    onError: sayFailed,
  });
  const makeDefault = useMutation({
    mutationFn: () =>
      unwrap(core.PATCH("/api/v1/preferences", { body: { default_persona: persona.id } })),
    onSuccess: refresh,
    onError: sayFailed,
  });
  return (
    <li className="flex items-center gap-3 py-3">
      <div className="min-w-0 flex-1">
        <p className="truncate font-medium">{persona.name}</p>
        <p className="text-muted truncate text-sm">{persona.description || "No description"}</p>
      </div>
      {persona.is_default ? (
        <span className="text-muted text-sm">Used in new chats</span>
      ) : (
        <Button small look="quiet" onClick={() => makeDefault.mutate()}>
          Use in new chats
        </Button>
      )}
      <div className="flex">
        <IconButton label={`Edit ${persona.name}`} onClick={onEdit}>
          <Pencil size={16} aria-hidden />
        </IconButton>
        <IconButton label={`Delete ${persona.name}`} onClick={() => setAsking(true)}>
          <Trash2 size={16} aria-hidden />
        </IconButton>
      </div>
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Delete ${persona.name}?`}
        body="Chats that you had as this persona stay as they are."
        verb="Delete"
        onConfirm={() => remove.mutate()}
      />
    </li>
  );
}

function PersonaDialog({ persona, onClose }: { persona: Persona | null; onClose: () => void }) {
  const [name, setName] = useState(persona?.name ?? "");
  const [description, setDescription] = useState(persona?.description ?? "");
  const save = useMutation({
    mutationFn: () => {
      const body = { name: name.trim(), description: description.trim() };
      return persona === null
        ? unwrap(core.POST("/api/v1/personas", { body }))
        : unwrap(
            core.PATCH("/api/v1/personas/{persona_id}", {
              params: { path: { persona_id: persona.id } },
              body,
            }),
          );
    },
    onSuccess: async () => {
      await refresh();
      onClose();
    },
    onError: (error) => {
      if (!(error instanceof ApiError) || Object.keys(error.fields).length === 0) sayFailed(error);
    },
  });
  const fields = save.error instanceof ApiError ? save.error.fields : {};
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <Dialog open onOpenChange={onClose} title={persona === null ? "A new persona" : "Edit persona"}>
      <form onSubmit={submit} className="flex flex-col gap-5">
        <TextField
          label="Name"
          required
          maxLength={100}
          value={name}
          error={fields["name"]}
          onChange={(event) => setName(event.target.value)}
        />
        <TextArea
          label="Who you are"
          value={description}
          error={fields["description"]}
          placeholder="A travelling clockmaker, forty, talks too fast."
          onChange={(event) => setDescription(event.target.value)}
        />
        <div className="flex justify-end gap-2">
          <Button look="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" look="primary" busy={save.isPending}>
            Save
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
