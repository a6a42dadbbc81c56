/** Write a character, or bring one in from a card. */
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { FileUp } from "lucide-react";
import { useRef } from "react";
import { ensureUser, useUser } from "../account/session";
import type { CharacterFields } from "../api/types";
import { keepCharacter, uploadAvatar } from "../character/queries";
import { ApiError, sentence } from "../lib/errors";
import { core, unwrap } from "../lib/http";
import { useTitle } from "../lib/useTitle";
import { Button } from "../ui/Button";
import { say, sayFailed } from "../ui/toast";
import { CharacterForm } from "./CharacterForm";
import { EMPTY } from "./fields";
import { CARD_FILES, useImport } from "./useImport";

export function CreatePage() {
  useTitle("Create");
  const user = useUser();
  return user === undefined ? null : <Creator guest={user?.guest !== false} />;
}

function Creator({ guest }: { guest: boolean }) {
  const navigate = useNavigate();
  const save = useMutation({
    mutationFn: async ({ fields, avatar }: { fields: CharacterFields; avatar: File | null }) => {
      await ensureUser();
      const made = keepCharacter(await unwrap(core.POST("/api/v1/characters", { body: fields })));
      if (avatar === null) return made;
      try {
        return await uploadAvatar(made.slug, avatar);
      } catch (error) {
        say(`${made.name} is saved, but the portrait is not: ${sentence(error)}`);
        return made;
      }
    },
    onSuccess: (made) => navigate({ to: "/c/$slug", params: { slug: made.slug } }),
    onError: sayFailed,
  });
  return (
    <main className="mx-auto w-full max-w-5xl px-4 pt-8 pb-24 sm:px-6 lg:px-10 lg:pt-12">
      <div className="mb-8 flex flex-wrap items-center justify-between gap-4">
        <h1 className="text-2xl font-semibold">Create a character</h1>
        <ImportButton />
      </div>
      <CharacterForm
        initial={guest ? { ...EMPTY, visibility: "private" } : EMPTY}
        avatar=""
        verb="Create"
        busy={save.isPending}
        guest={guest}
        refused={save.error instanceof ApiError ? save.error.fields : {}}
        onSave={(fields, avatar) => save.mutate({ fields, avatar })}
      />
    </main>
  );
}

function ImportButton() {
  const input = useRef<HTMLInputElement>(null);
  const entry = useImport();
  return (
    <>
      <Button busy={entry.isPending} onClick={() => input.current?.click()}>
        <FileUp size={18} aria-hidden /> Import a card
      </Button>
      <input
        ref={input}
        type="file"
        accept={CARD_FILES}
        aria-label="Character card"
        tabIndex={-1}
        className="sr-only"
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = "";
          if (file !== undefined) entry.mutate(file, { onError: sayFailed });
        }}
      />
    </>
  );
}
