/** Home: go on where you were, or find somebody to talk with. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { useUser } from "../account/session";
import { charactersQuery } from "../character/queries";
import { useTitle } from "../lib/useTitle";
import { Button, buttonClass } from "../ui/Button";
import { Empty, Failed } from "../ui/States";
import type { HomeSearch } from "./search";
import { CardGrid, GridSkeleton } from "./CardGrid";
import { Continue } from "./Continue";
import { SearchField } from "./SearchField";
import { Tags } from "./Tags";

const route = getRouteApi("/");
const TYPING_MS = 200;

export function HomePage() {
  useTitle(undefined);
  const { q, tag, mine } = route.useSearch();
  const navigate = route.useNavigate();
  const user = useUser();
  const [typed, setTyped] = useState(q ?? "");
  const owner = mine === true ? "me" : undefined;
  const found = useInfiniteQuery(charactersQuery({ q, tag, owner }));
  const cards = found.data?.pages.flatMap((page) => page.items) ?? [];
  const searching = q !== undefined || tag !== undefined || mine === true;

  useEffect(() => {
    const timer = window.setTimeout(() => {
      const words = typed.trim();
      void navigate({
        to: "/",
        search: ({ q: _q, ...rest }: HomeSearch) => (words === "" ? rest : { ...rest, q: words }),
        replace: true,
        resetScroll: false,
      });
    }, TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [typed, navigate]);

  const clear = () => {
    setTyped("");
    void navigate({ to: "/", search: {}, replace: true });
  };

  return (
    <main className="mx-auto w-full max-w-7xl px-4 pt-4 pb-12 sm:px-6 lg:px-10 lg:pt-8">
      <SearchField value={typed} onChange={setTyped} />
      {!searching && <Continue />}
      <section aria-labelledby="characters" className="mt-8">
        <div className="mb-4 flex flex-col gap-4">
          <h1 id="characters" className="font-serif text-2xl font-semibold">
            {searching ? "Characters" : "Who would you like to talk with?"}
          </h1>
          <Tags chosen={tag} mine={mine === true} canMine={user != null} />
        </div>
        {found.isPending ? (
          <GridSkeleton />
        ) : found.isError ? (
          <Failed error={found.error} onRetry={() => void found.refetch()} />
        ) : cards.length === 0 ? (
          <Nobody searching={searching} onClear={clear} />
        ) : (
          <>
            <CardGrid cards={cards} dim={found.isPlaceholderData} />
            {found.hasNextPage && (
              <div className="mt-8 flex justify-center">
                <Button busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
                  More characters
                </Button>
              </div>
            )}
          </>
        )}
      </section>
    </main>
  );
}

function Nobody({ searching, onClear }: { searching: boolean; onClear: () => void }) {
  const create = (
    <Link to="/create" className={buttonClass("primary")}>
      Create one
    </Link>
  );
  if (!searching) {
    return (
      <Empty
        title="Nobody here yet"
        body="Write the first character, or drop a character card anywhere on this page."
        action={create}
      />
    );
  }
  return (
    <Empty
      title="Nobody matches"
      body="Try fewer words, or write the character you were looking for."
      action={
        <>
          <Button onClick={onClear}>Clear the search</Button>
          {create}
        </>
      }
    />
  );
}
