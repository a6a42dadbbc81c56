/** Under an answer: ‹ 2/5 ›, copy, write anew, more. Under earlier ones it waits to be pointed at. */
import clsx from "clsx";
import { Copy, RefreshCw } from "lucide-react";
import { useEffect, useEffectEvent } from "react";
import type { Message, Turn } from "../api/types";
import { IconButton } from "../ui/Button";
import { Swipes } from "../ui/Swipes";
import { parseId } from "./room";
import { TurnMenu } from "./TurnMenu";
import type { TurnActions } from "./useTurnActions";

interface AnswerBarProps {
  message: Message;
  turn: Turn;
  last: boolean;
  only: boolean;
  actions: TurnActions;
  onEdit: () => void;
}

export function AnswerBar({ message, turn, last, only, actions, onEdit }: AnswerBarProps) {
  const streaming = message.state === "streaming";
  const greeting = turn.seq === 0;
  const count = turn.candidates.length;
  const at = turn.candidates.findIndex((candidate) => candidate.id === message.id);
  const choose = (index: number) => {
    const other = turn.candidates[index];
    if (other !== undefined && !streaming) actions.choose(other.id);
  };
  const anew = () => {
    if (!streaming) actions.regenerate(message.id);
  };
  const canNext = at < count - 1 || (last && !greeting && !streaming);
  const next = () => {
    if (at < count - 1) choose(at + 1);
    else if (canNext) anew();
  };
  useSwipeKeys(last && (count > 1 || !greeting), (step) => (step < 0 ? choose(at - 1) : next()));

  return (
    <div
      className={clsx(
        "-ml-2 flex h-9 items-center gap-1 pt-1 transition-opacity",
        streaming && "invisible",
        !last &&
          "opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 has-data-[state=open]:opacity-100 pointer-coarse:opacity-100",
      )}
    >
      {(count > 1 || (last && !greeting)) && (
        <Swipes
          what={greeting ? "greeting" : "answer"}
          at={at}
          count={count}
          onBack={() => choose(at - 1)}
          onNext={canNext ? next : undefined}
          {...(canNext && at === count - 1 ? { nextLabel: "Another answer" } : {})}
        />
      )}
      <IconButton label="Copy" onClick={() => actions.copy(message.body)}>
        <Copy size={16} aria-hidden />
      </IconButton>
      {last && !greeting && (
        <IconButton label="Write anew" onClick={anew}>
          <RefreshCw size={16} aria-hidden />
        </IconButton>
      )}
      <TurnMenu
        message={message}
        turn={turn}
        actions={actions}
        onEdit={onEdit}
        canContinue={last && !only && !streaming}
      />
      <span className="text-muted ml-1 truncate text-xs" data-testid="answer-model">
        {parseId(message.id).seq > 0 && modelOf(message)}
      </span>
    </div>
  );
}

function modelOf(message: Message): string {
  const model = message.meta["model"];
  return typeof model === "string" ? model : "";
}

/** Left and right swipe the last answer, unless something is being written or chosen. */
function useSwipeKeys(on: boolean, swipe: (step: -1 | 1) => void): void {
  const act = useEffectEvent(swipe);
  useEffect(() => {
    if (!on) return;
    const onKey = (event: KeyboardEvent) => {
      const step = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
      if (step === 0 || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      const target = event.target instanceof Element ? event.target : null;
      const field = target?.closest<HTMLTextAreaElement>("input, textarea, select");
      const busy = field != null && (field.dataset["composer"] === undefined || field.value !== "");
      if (busy || event.isComposing || target?.closest("[role=dialog], [role=menu]") != null)
        return;
      event.preventDefault();
      act(step);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [on]);
}
