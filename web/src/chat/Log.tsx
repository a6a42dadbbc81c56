/** What was said, as a list that draws only what is on the screen. */
import { ArrowDown } from "lucide-react";
import { useEffect, useState } from "react";
import { Virtualizer } from "virtua";
import type { ChatView, Turn } from "../api/types";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { sayFailed } from "../ui/toast";
import { unfold, useLive } from "./live";
import { LetterRow } from "./LetterRow";
import { characterOf } from "./queries";
import { lastTurn, shown, type Room } from "./room";
import { TurnRow } from "./TurnRow";
import { useStick } from "./useStick";

const NEAR_TOP_PX = 400;
const NO_TURNS: readonly Turn[] = [];

export function Log({ chat }: { chat: ChatView }) {
  const room = useLive((live) => live.rooms[chat.id]);
  const letters = useLive((live) => live.letters);
  const { scroller, content, onScroll, atEnd, toEnd } = useStick();
  const [unfolding, setUnfolding] = useState(false);
  const [editing, setEditing] = useState<number | null>(null);

  const turns = room?.turns ?? NO_TURNS;
  const waiting = letters.filter((letter) => letter.chat === chat.id);
  const below = useNewBelow(chat.id, atEnd);

  const waits = waiting.length;
  useEffect(() => {
    if (waits > 0) toEnd(); // what one sends oneself, one wants to see
  }, [waits, toEnd]);

  const scrolled = () => {
    onScroll();
    const top = scroller.current?.scrollTop ?? 0;
    if (top > NEAR_TOP_PX || unfolding || room?.more !== true) return;
    setUnfolding(true);
    unfold(chat.id)
      .catch(sayFailed)
      .finally(() => requestAnimationFrame(() => setUnfolding(false))); // after they are drawn
  };

  if (room === undefined) return null;
  const last = turns.length - 1;
  // What is rewritten is not lost when it is scrolled away. Row 0 is the beginning.
  const edited = 1 + turns.findIndex((turn) => turn.seq === editing);
  return (
    <div className="relative min-h-0 flex-1">
      <div
        ref={scroller}
        onScroll={scrolled}
        role="log"
        aria-live="off"
        aria-label="Conversation"
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- scrolled by keyboard
        tabIndex={0}
        className="h-full overflow-y-auto overscroll-contain [overflow-anchor:none] focus-visible:outline-offset-[-2px]"
      >
        <div ref={content} className="pt-6 pb-4">
          <Virtualizer
            scrollRef={scroller}
            startMargin={24}
            shift={unfolding}
            bufferSize={600}
            keepMounted={edited > 0 ? [edited] : []}
          >
            {room.more ? (
              <p key="older" className="text-muted h-12 text-center text-sm">
                {unfolding ? "Reading older messages…" : "Older messages above"}
              </p>
            ) : (
              <Beginning key="beginning" chat={chat} />
            )}
            {turns.map((turn, index) => (
              <TurnRow
                key={turn.seq}
                chat={chat.id}
                branch={room.branch}
                turn={turn}
                last={index === last && waits === 0}
                only={turns.length === 1 && !room.more}
                editing={turn.seq === editing}
                onEditing={setEditing}
              />
            ))}
            {waiting.map((letter) => (
              <LetterRow key={letter.client_id} letter={letter} />
            ))}
          </Virtualizer>
        </div>
      </div>
      {!atEnd && (
        <Button
          small
          look={below ? "primary" : "plain"}
          onClick={toEnd}
          className="shadow-float absolute bottom-3 left-1/2 -translate-x-1/2 !rounded-full"
        >
          <ArrowDown size={16} aria-hidden />
          {below ? "New below" : "To the end"}
        </Button>
      )}
    </div>
  );
}

/** Who it is, above the first message. */
function Beginning({ chat }: { chat: ChatView }) {
  const character = characterOf(chat.members);
  if (character === undefined) return <div />;
  return (
    <div className="mx-auto flex max-w-3xl flex-col items-center gap-3 px-4 pt-4 pb-10 text-center">
      <Avatar name={character.name} src={character.avatar} eager className="size-24 rounded-lg" />
      <p className="font-serif text-xl font-semibold">{character.name}</p>
      <p className="text-muted text-sm">
        {new Date(chat.created_at).toLocaleDateString(undefined, { dateStyle: "long" })}
      </p>
    </div>
  );
}

/** Whether something came since the end was last on the screen. */
function useNewBelow(chat: string, atEnd: boolean): boolean {
  const [below, setBelow] = useState(false);
  useEffect(() => {
    if (atEnd) return;
    const mark = markOf(useLive.getState().rooms[chat]);
    const unsubscribe = useLive.subscribe((live) => setBelow(markOf(live.rooms[chat]) !== mark));
    return () => {
      unsubscribe();
      setBelow(false);
    };
  }, [chat, atEnd]);
  return below;
}

/** Changes whenever the last message does. */
function markOf(room: Room | undefined): string {
  const turn = room && lastTurn(room);
  const message = turn && shown(turn);
  return `${message?.id ?? ""}:${message?.body.length ?? 0}`;
}
