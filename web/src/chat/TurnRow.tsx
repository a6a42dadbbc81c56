/** One turn: a bubble for the person, open text for the character. */
import clsx from "clsx";
import { useQuery } from "@tanstack/react-query";
import { memo } from "react";
import type { Message, Turn } from "../api/types";
import { fullTime } from "../lib/time";
import { useTint } from "../lib/tint";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { Said } from "../ui/Said";
import { AnswerBar } from "./AnswerBar";
import { EditBox } from "./EditBox";
import { Pinned } from "./Pinned";
import { chatQuery } from "./queries";
import { shown } from "./room";
import { TurnMenu } from "./TurnMenu";
import { useTurnActions, type TurnActions } from "./useTurnActions";
import { asSentence, closeOpen } from "./words";
import { Writing } from "./Writing";

interface TurnRowProps {
  chat: string;
  branch: number;
  turn: Turn;
  last: boolean;
  /** The greeting is all there is. */
  only: boolean;
  editing: boolean;
  /** Says which turn is rewritten now. */
  onEditing: (seq: number | null) => void;
}

export const TurnRow = memo(function TurnRow({
  chat,
  branch,
  turn,
  last,
  only,
  editing,
  onEditing,
}: TurnRowProps) {
  const actions = useTurnActions(chat, branch);
  const message = shown(turn);
  if (message === undefined) return <div />;
  const mine = message.speaker.startsWith("user:");
  const edit = () => onEditing(turn.seq);
  return (
    <div
      className={clsx("mx-auto w-full max-w-[44rem] px-4 md:px-8", mine || last ? "pb-6" : "pb-3")}
    >
      {editing ? (
        <EditBox
          message={message}
          onSave={(text) => actions.edit(message.id, text)}
          onSend={mine ? (text) => actions.sayInstead(turn, text) : undefined}
          onClose={() => onEditing(null)}
        />
      ) : mine ? (
        <Bubble message={message} turn={turn} actions={actions} onEdit={edit} />
      ) : (
        <Answer
          chat={chat}
          message={message}
          turn={turn}
          last={last}
          only={only}
          actions={actions}
          onEdit={edit}
        />
      )}
    </div>
  );
});

interface PartProps {
  message: Message;
  turn: Turn;
  actions: TurnActions;
  onEdit: () => void;
}

function Bubble({ message, turn, actions, onEdit }: PartProps) {
  return (
    <article
      aria-label="You"
      data-testid="message"
      data-speaker="user"
      data-state={message.state}
      className="group flex items-end justify-end gap-1"
    >
      <TurnMenu message={message} turn={turn} actions={actions} onEdit={onEdit} quiet />
      <div
        title={fullTime(message.created_at)}
        className="bg-ink/6 max-w-[85%] min-w-0 rounded-xl px-4 py-2.5"
      >
        <Said text={message.body} />
        <Pinned message={message.id} />
      </div>
    </article>
  );
}

interface AnswerProps extends PartProps {
  chat: string;
  last: boolean;
  only: boolean;
}

function Answer({ chat, message, turn, last, only, actions, onEdit }: AnswerProps) {
  const members = useQuery(chatQuery(chat)).data?.members;
  const member = members?.find((one) => one.speaker === message.speaker);
  const tint = useTint(message.name, member?.avatar ?? "");
  const streaming = message.state === "streaming";
  return (
    <article
      aria-label={message.name}
      aria-busy={streaming}
      data-testid="message"
      data-speaker="character"
      data-state={message.state}
      style={tint}
      className="group"
    >
      <header className="mb-1 flex items-center gap-2">
        <Avatar name={message.name} src={member?.avatar ?? ""} className="size-6 rounded-sm" />
        <span className="text-tint text-sm font-semibold" title={fullTime(message.created_at)}>
          {message.name}
        </span>
        <Pinned message={message.id} />
      </header>
      <div data-testid="body" className="min-h-7">
        {message.body === "" && streaming ? (
          <Writing />
        ) : (
          <Said text={streaming ? closeOpen(message.body) : message.body} className="measure" />
        )}
      </div>
      <Ending message={message} last={last} actions={actions} />
      <AnswerBar
        message={message}
        turn={turn}
        last={last}
        only={only}
        actions={actions}
        onEdit={onEdit}
      />
    </article>
  );
}

/** How an answer ended, when it did not end by itself. */
function Ending({
  message,
  last,
  actions,
}: {
  message: Message;
  last: boolean;
  actions: TurnActions;
}) {
  const { state } = message;
  if (state === "complete" || state === "streaming") return null;
  if (state === "stopped" && !last) return null;
  const failed = state === "failed" || (state === "interrupted" && message.body === "");
  const again = () => actions.regenerate(message.id);
  return (
    <div className="mt-3 flex flex-wrap items-center gap-3">
      <p className={`text-sm ${state === "stopped" ? "text-muted" : "text-danger"}`}>
        {endingOf(message)}
      </p>
      {last && (
        <Button small onClick={failed ? again : () => actions.writeOn(message.id)}>
          {failed ? "Try again" : "Continue"}
        </Button>
      )}
    </div>
  );
}

function endingOf(message: Message): string {
  if (message.state === "stopped") return "Stopped.";
  const error = message.meta["error"];
  const why =
    typeof error === "object" && error !== null && "message" in error ? String(error.message) : "";
  const kept = message.body === "" ? "Your message is saved." : "What was written is kept.";
  return `${asSentence(why === "" ? "The answer broke off" : why)} ${kept}`;
}
