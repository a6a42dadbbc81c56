/** Where one writes. Enter sends, Shift-Enter breaks the line; while an answer comes, it stops it. */
import { ArrowUp, Square } from "lucide-react";
import { useEffect, useRef } from "react";
import { keepDraft, useDraft } from "./drafts";
import { sendMessage, stop, useLive } from "./live";
import { writing } from "./room";
import { sayFailed } from "../ui/toast";

const SHOW_COUNT_FROM = 0.8; // of the most that a message may have
const coarse = window.matchMedia("(pointer: coarse)");

export function Composer({ chat, name }: { chat: string; name: string }) {
  const text = useDraft(chat);
  const room = useLive((live) => live.rooms[chat]);
  const most = useLive((live) => live.messageChars);
  const waiting = useLive((live) =>
    live.letters.some((letter) => letter.chat === chat && letter.refused === undefined),
  );
  const field = useRef<HTMLTextAreaElement>(null);
  const answer = room && writing(room);
  const length = Array.from(text).length;
  const over = most !== null && length > most;
  const ready = text.trim() !== "" && !over && !waiting && answer === undefined;

  useEffect(() => {
    if (!coarse.matches) field.current?.focus();
  }, [chat]);

  const send = () => {
    if (!ready || room === undefined) return;
    sendMessage(chat, room.branch, text.trim());
    keepDraft(chat, "");
    field.current?.focus();
  };
  const halt = () => {
    if (answer !== undefined) stop(answer.id).catch(sayFailed);
  };

  return (
    <div className="bg-paper shrink-0 px-3 pb-[max(0.5rem,env(safe-area-inset-bottom))] md:px-8">
      <form
        className="border-line bg-raised focus-within:border-edge mx-auto flex max-w-[42rem] items-end gap-2 rounded-xl border p-1.5 pl-4 transition-colors"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <textarea
          ref={field}
          data-composer=""
          data-testid="composer"
          aria-label={`Message ${name}`}
          aria-invalid={over}
          placeholder={`Message ${name}`}
          rows={1}
          value={text}
          onChange={(event) => keepDraft(chat, event.target.value)}
          onKeyDown={(event) => {
            if (composing(event.nativeEvent)) return;
            if (event.key === "Enter" && !event.shiftKey && !coarse.matches) {
              event.preventDefault();
              send();
            } else if (event.key === "Escape" && answer !== undefined) {
              halt();
            }
          }}
          className="field-sizing-content max-h-[40dvh] min-h-10 min-w-0 flex-1 resize-none bg-transparent py-2 text-base leading-6 outline-none"
        />
        {answer === undefined ? (
          <button
            key="send" // two buttons, not one that changes under the finger
            type="submit"
            aria-label="Send"
            title="Send"
            disabled={!ready}
            className="bg-accent-fill text-on-accent disabled:bg-ink/8 disabled:text-muted flex size-10 shrink-0 items-center justify-center rounded-full transition"
          >
            <ArrowUp size={20} aria-hidden />
          </button>
        ) : (
          <button
            key="stop"
            type="button"
            aria-label="Stop"
            title="Stop"
            onClick={halt}
            className="bg-ink text-paper flex size-10 shrink-0 items-center justify-center rounded-full transition"
          >
            <Square size={14} fill="currentColor" aria-hidden />
          </button>
        )}
      </form>
      <p className="text-muted mx-auto flex max-w-[42rem] justify-center gap-2 pt-2 text-center text-xs">
        <span>You are talking with an AI. What it says is made up.</span>
        {most !== null && length > most * SHOW_COUNT_FROM && (
          <span role={over ? "alert" : undefined} className={over ? "text-danger" : ""}>
            {length.toLocaleString()} / {most.toLocaleString()}
          </span>
        )}
      </p>
    </div>
  );
}

/** Whether a key belongs to an input method. Safari ends composing before the Enter that ended it. */
function composing(event: KeyboardEvent): boolean {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only sign that Safari gives
  return event.isComposing || event.keyCode === 229;
}
