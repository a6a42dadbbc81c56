/** What it took to write an answer: model, tokens, times. */
import type { Message } from "../api/types";
import { fullTime } from "../lib/time";
import { Dialog } from "../ui/Dialog";

export function Details({ message, onClose }: { message: Message; onClose: () => void }) {
  const rows = factsOf(message);
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="How this was written"
      description={`${message.name}, ${fullTime(message.created_at)}`}
    >
      <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-2 text-sm">
        {rows.map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-muted">{name}</dt>
            <dd className="text-right break-words tabular-nums">{value}</dd>
          </div>
        ))}
      </dl>
      {rows.length === 0 && (
        <p className="text-muted text-sm">
          Written by the character’s creator; no model was asked.
        </p>
      )}
    </Dialog>
  );
}

/** What the server recorded of an answer, as names and values. */
export function factsOf({ meta }: Message): [string, string][] {
  const facts: [string, string][] = [];
  const text = (name: string, key: string) => {
    const value = meta[key];
    if (typeof value === "string" && value !== "") facts.push([name, value]);
  };
  const number = (name: string, key: string, unit = "") => {
    const value = meta[key];
    if (typeof value === "number") facts.push([name, value.toLocaleString() + unit]);
  };
  text("Model", "model");
  text("Provider", "provider");
  number("Prompt", "prompt_tokens", " tokens");
  number("of these from memory", "cached_tokens", " tokens");
  number("Answer", "completion_tokens", " tokens");
  number("First word after", "ttft_ms", " ms");
  number("Whole answer after", "total_ms", " ms");
  text("Ended by", "finish_reason");
  text("Template", "template");
  return facts;
}
