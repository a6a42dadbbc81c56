/** A character's page: who they are, how they greet, and the way into a chat. */
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { ApiError } from "../lib/errors";
import { useTint } from "../lib/tint";
import { useTitle } from "../lib/useTitle";
import type { Character } from "../api/types";
import { NotFoundPage } from "../shell/NotFoundPage";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { Said } from "../ui/Said";
import { Failed, Skeleton } from "../ui/States";
import { CharacterMenu } from "./CharacterMenu";
import { Facts } from "./Facts";
import { Greetings } from "./Greetings";
import { characterQuery } from "./queries";
import { useBeginChat } from "./useBeginChat";

const route = getRouteApi("/c/$slug");

export function CharacterPage() {
  const { slug } = route.useParams();
  const { data, error, refetch } = useQuery(characterQuery(slug));
  useTitle(data?.name);
  if (data !== undefined) return <Loaded key={data.slug} character={data} />;
  if (error instanceof ApiError && error.status === 404) return <NotFoundPage what="character" />;
  if (error !== null) return <Failed page error={error} onRetry={() => void refetch()} />;
  return <PageSkeleton />;
}

const page = "mx-auto w-full max-w-5xl px-4 sm:px-6 lg:px-10";

function Loaded({ character }: { character: Character }) {
  const tint = useTint(character.name, character.avatar);
  const begin = useBeginChat(character.slug);
  return (
    <main style={tint} className="pb-24">
      <header className="from-tint/18 bg-linear-to-b to-transparent pt-6 pb-8 lg:pt-16">
        <div className={`${page} flex flex-col gap-6 sm:flex-row sm:items-end sm:gap-8`}>
          <Avatar
            name={character.name}
            src={character.avatar}
            alt={`Portrait of ${character.name}`}
            eager
            className="aspect-3/4 w-36 rounded-lg sm:w-52"
          />
          <div className="min-w-0 flex-1">
            <h1 className="font-serif text-3xl font-semibold break-words">{character.name}</h1>
            {character.tagline !== "" && (
              <p className="text-muted mt-2 text-lg leading-6">{character.tagline}</p>
            )}
            <p className="text-muted mt-2 text-sm">
              by @{character.owner.name}
              {character.visibility !== "public" && ` · ${character.visibility}`}
            </p>
            <div className="mt-6 flex flex-wrap items-center gap-2">
              <Button
                look="primary"
                className="min-w-36"
                busy={begin.isPending}
                onClick={() => begin.mutate()}
              >
                Chat
              </Button>
              <CharacterMenu character={character} />
            </div>
          </div>
        </div>
      </header>
      <div className={`${page} grid gap-12 lg:grid-cols-[minmax(0,1fr)_16rem]`}>
        <div className="flex min-w-0 flex-col gap-10">
          <Greetings character={character} />
          {character.description !== "" && (
            <section aria-labelledby="about">
              <h2 id="about" className="mb-3 text-lg font-semibold">
                About
              </h2>
              <Said text={character.description} className="measure" />
            </section>
          )}
        </div>
        <Facts character={character} />
      </div>
    </main>
  );
}

function PageSkeleton() {
  return (
    <main role="status" aria-label="Loading the character" className="pt-6 lg:pt-16">
      <div className={`${page} flex flex-col gap-6 sm:flex-row sm:items-end sm:gap-8`}>
        <Skeleton className="aspect-3/4 w-36 sm:w-52" />
        <div className="flex flex-1 flex-col gap-3">
          <Skeleton className="h-10 w-64 max-w-full" />
          <Skeleton className="h-5 w-80 max-w-full" />
          <Skeleton className="mt-4 h-11 w-36" />
        </div>
      </div>
    </main>
  );
}
