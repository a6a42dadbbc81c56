/** A message on its way: shown at once, and what to do if the server would not take it. */
import { Said } from "../ui/Said";
import { Button } from "../ui/Button";
import { sendAgain, takeBack, useLive } from "./live";
import { giveBack } from "./drafts";
import type { Letter } from "./outbox";
import { Writing } from "./Writing";

export function LetterRow({ letter }: { letter: Letter }) {
  const status = useLive((live) => live.status);
  const refused = letter.refused;
  return (
    <div className="mx-auto flex w-full max-w-[44rem] flex-col items-end px-4 pb-6 md:px-8">
      <article
        aria-label="Your message, on its way"
        data-testid="letter"
        className="bg-ink/6 max-w-[85%] rounded-xl px-4 py-2.5"
      >
        <Said text={letter.text} />
      </article>
      {refused !== undefined ? (
        <div role="alert" className="mt-2 flex max-w-[85%] flex-col items-end gap-2">
          <p className="text-danger text-sm">{refused} Your message is kept here.</p>
          <div className="flex gap-2">
            <Button
              small
              look="quiet"
              onClick={() => giveBack(letter.chat, takeBack(letter.client_id))}
            >
              Edit
            </Button>
            <Button small onClick={() => sendAgain(letter.client_id)}>
              Send again
            </Button>
          </div>
        </div>
      ) : status === "ready" ? (
        <div className="w-full pt-6">
          <Writing />
        </div>
      ) : (
        <p className="text-muted mt-2 text-xs">Kept here. It is sent once you are connected.</p>
      )}
    </div>
  );
}
