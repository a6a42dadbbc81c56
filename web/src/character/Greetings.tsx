/** How a character says hello, in its own voice, one greeting at a time. */
import { useState } from "react";
import type { Character } from "../api/types";
import { useUser } from "../account/session";
import { Said } from "../ui/Said";
import { Swipes } from "../ui/Swipes";

export function Greetings({ character }: { character: Character }) {
  const [at, setAt] = useState(0);
  const user = useUser();
  const greetings = [character.greeting, ...character.alternate_greetings].filter(
    (greeting) => greeting.trim() !== "",
  );
  const greeting = greetings[at];
  if (greeting === undefined) return null;
  const you = user == null || user.guest ? "you" : user.display_name || user.name;
  return (
    <section aria-label="Greeting" className="border-tint/70 measure border-l-2 pl-5">
      <Said text={filled(greeting, character.name, you)} />
      {greetings.length > 1 && (
        <div className="-ml-2 pt-2">
          <Swipes
            what="greeting"
            at={at}
            count={greetings.length}
            onBack={() => setAt(at - 1)}
            onNext={at < greetings.length - 1 ? () => setAt(at + 1) : undefined}
          />
        </div>
      )}
    </section>
  );
}

/** The two names that cards leave open. */
export function filled(text: string, char: string, user: string): string {
  return text.replace(/\{\{char\}\}/giu, char).replace(/\{\{user\}\}/giu, user);
}
