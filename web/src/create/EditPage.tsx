/** Change a character. Saving makes a new version; chats keep the one they began with. */
import { useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import type { Character, CharacterFields } from "../api/types";
import { useUser } from "../account/session";
import { characterQuery, keepCharacter, uploadAvatar } from "../character/queries";
import { ApiError } from "../lib/errors";
import { core, unwrap } from "../lib/http";
import { useTitle } from "../lib/useTitle";
import { NotFoundPage } from "../shell/NotFoundPage";
import { Failed, Skeleton } from "../ui/States";
import { sayFailed } from "../ui/toast";
import { CharacterForm } from "./CharacterForm";
import { changes, fieldsOf } from "./fields";

const route = getRouteApi("/c/$slug/edit");

export function EditPage() {
  const { slug } = route.useParams();
  const { data, error, refetch } = useQuery(characterQuery(slug));
  useTitle(data === undefined ? undefined : `Edit ${data.name}`);
  if (data?.mine === true) return <Editor key={data.slug} character={data} />;
  if (data !== undefined || (error instanceof ApiError && error.status === 404)) {
    return <NotFoundPage what="character of yours" />;
  }
  if (error !== null) return <Failed page error={error} onRetry={() => void refetch()} />;
  return <Skeleton className="m-8 h-96" />;
}

function Editor({ character }: { character: Character }) {
  const navigate = useNavigate();
  const { slug } = character;
  const user = useUser();
  const save = useMutation({
    mutationFn: async ({ fields, avatar }: { fields: CharacterFields; avatar: File | null }) => {
      const answer = core.PATCH("/api/v1/characters/{slug}", {
        params: { path: { slug } },
        body: changes(fields, fieldsOf(character)),
      });
      const changed = keepCharacter(await unwrap(answer));
      return avatar === null ? changed : uploadAvatar(changed.slug, avatar);
    },
    onSuccess: (changed) => navigate({ to: "/c/$slug", params: { slug: changed.slug } }),
    onError: sayFailed,
  });
  return (
    <main className="mx-auto w-full max-w-5xl px-4 pt-8 pb-24 sm:px-6 lg:px-10 lg:pt-12">
      <h1 className="mb-2 text-2xl font-semibold">Edit {character.name}</h1>
      <p className="text-muted mb-8 text-sm">
        Saving makes version {character.version + 1}. Chats keep the version they began with.
      </p>
      <CharacterForm
        initial={fieldsOf(character)}
        avatar={character.avatar}
        verb="Save"
        busy={save.isPending}
        guest={user?.guest !== false}
        refused={save.error instanceof ApiError ? save.error.fields : {}}
        onSave={(fields, avatar) => save.mutate({ fields, avatar })}
      />
    </main>
  );
}
