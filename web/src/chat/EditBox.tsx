/** Rewrites a message where it stands. */
import { useState } from "react";
import type { Message } from "../api/types";
import { Button } from "../ui/Button";

interface EditBoxProps {
  message: Message;
  onSave: (text: string) => Promise<boolean>;
  /** Save it and have it answered; only what the person said can be. */
  onSend: ((text: string) => Promise<boolean>) | undefined;
  onClose: () => void;
}

export function EditBox({ message, onSave, onSend, onClose }: EditBoxProps) {
  const [text, setText] = useState(message.body);
  const [busy, setBusy] = useState(false);
  const ready = text.trim() !== "" && text !== message.body;
  const finish = async (act: (text: string) => Promise<boolean>) => {
    if (!ready || busy) return;
    setBusy(true);
    if (await act(text)) onClose();
    else setBusy(false);
  };
  return (
    <div className="flex flex-col gap-3">
      <textarea
        aria-label={`Edit what ${message.speaker.startsWith("user:") ? "you" : message.name} said`}
        // eslint-disable-next-line jsx-a11y/no-autofocus -- it replaces what had the focus
        autoFocus
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          if (event.key === "Escape") onClose();
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
            void finish(onSend ?? onSave);
        }}
        className="prose-said border-line bg-raised focus-visible:border-accent field-sizing-content max-h-[60dvh] min-h-24 w-full rounded-lg border px-4 py-3"
      />
      <div className="flex justify-end gap-2">
        <Button small look="quiet" onClick={onClose}>
          Cancel
        </Button>
        <Button
          small
          look={onSend === undefined ? "primary" : "plain"}
          disabled={!ready || busy}
          onClick={() => void finish(onSave)}
        >
          {onSend === undefined ? "Save" : "Only save"}
        </Button>
        {onSend !== undefined && (
          <Button
            small
            look="primary"
            disabled={!ready}
            busy={busy}
            onClick={() => void finish(onSend)}
          >
            Send
          </Button>
        )}
      </div>
    </div>
  );
}
