/** Keys for other programs. A secret is shown once. */
import { useMutation, useQuery } from "@tanstack/react-query";
import { Copy, Trash2 } from "lucide-react";
import { useState, type SyntheticEvent } from "react";
import type { ApiKey } from "../api/types";
import { copyText } from "../lib/clipboard";
import { core, unwrap } from "../lib/http";
import { queries } from "../lib/query";
import { fullTime } from "../lib/time";
import { Button, IconButton } from "../ui/Button";
import { Confirm, Dialog } from "../ui/Dialog";
import { TextField } from "../ui/Field";
import { Failed, Skeleton } from "../ui/States";
import { say, sayFailed } from "../ui/toast";
import { keysQuery } from "./queries";

const refresh = () => queries.invalidateQueries({ queryKey: ["keys"] });

export function Keys() {
  const { data, error, refetch } = useQuery(keysQuery);
  const [making, setMaking] = useState(false);
  if (error !== null) return <Failed error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <Skeleton className="h-20" />;
  return (
    <>
      {data.items.length > 0 && (
        <ul className="border-line divide-line divide-y border-y">
          {data.items.map((key) => (
            <KeyRow key={key.id} apiKey={key} />
          ))}
        </ul>
      )}
      <div>
        <Button small onClick={() => setMaking(true)}>
          Make a key
        </Button>
      </div>
      {making && <NewKey onClose={() => setMaking(false)} />}
    </>
  );
}

function KeyRow({ apiKey }: { apiKey: ApiKey }) {
  const [asking, setAsking] = useState(false);
  const revoke = useMutation({
    mutationFn: () =>
      unwrap(core.DELETE("/api/v1/keys/{key_id}", { params: { path: { key_id: apiKey.id } } })),
    onSuccess: refresh,
    onError: sayFailed,
  });
  return (
    <li className="flex items-center gap-3 py-3">
      <div className="min-w-0 flex-1">
        <p className="truncate font-medium">{apiKey.name}</p>
        <p className="text-muted truncate text-sm">
          <code className="font-mono">
            {apiKey.prefix}…{apiKey.last4}
          </code>{" "}
          · made {fullTime(apiKey.created_at)}
        </p>
      </div>
      <IconButton label={`Revoke ${apiKey.name}`} onClick={() => setAsking(true)}>
        <Trash2 size={16} aria-hidden />
      </IconButton>
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Revoke ${apiKey.name}?`}
        body="Programs that use it are refused from now on."
        verb="Revoke"
        onConfirm={() => revoke.mutate()}
      />
    </li>
  );
}

function NewKey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: () => unwrap(core.POST("/api/v1/keys", { body: { name: name.trim() } })),
    onSuccess: refresh,
    onError: sayFailed,
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    make.mutate();
  };
  const secret = make.data?.secret;
  if (secret === undefined) {
    return (
      <Dialog open onOpenChange={onClose} title="A new key">
        <form onSubmit={submit} className="flex flex-col gap-5">
          <TextField
            label="What is it for?"
            required
            maxLength={100}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
          <div className="flex justify-end gap-2">
            <Button look="quiet" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" look="primary" busy={make.isPending}>
              Make it
            </Button>
          </div>
        </form>
      </Dialog>
    );
  }
  const copy = () =>
    void copyText(secret).then((copied) => say(copied ? "Copied." : "Copy it by hand."));
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Your key"
      description="Copy it now: it is not shown again."
    >
      <div className="bg-ink/6 flex items-center gap-2 rounded-md p-2 pl-4">
        <code className="min-w-0 flex-1 font-mono text-sm break-all">{secret}</code>
        <IconButton label="Copy the key" onClick={copy}>
          <Copy size={16} aria-hidden />
        </IconButton>
      </div>
      <div className="mt-6 flex justify-end">
        <Button look="primary" onClick={onClose}>
          I have it
        </Button>
      </div>
    </Dialog>
  );
}
