/** The frame around every screen: rail or bottom bar, palette, import by drop, toasts. */
import { Outlet, useMatches } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState } from "react";
import { Toaster } from "sonner";
import { sessionQuery } from "../account/session";
import { goLive } from "../chat/live";
import { BottomBar } from "./BottomBar";
import { DropImport } from "./DropImport";
import { Rail } from "./Rail";

const CommandPalette = lazy(async () => {
  const { CommandPalette: component } = await import("./CommandPalette");
  return { default: component };
});

/** Screens that use the whole of a phone. */
const WHOLE = new Set<string>(["/chats/$chatId", "/sign-in"]);

export function Shell() {
  const [palette, setPalette] = useState(false);
  const route = useMatches().at(-1)?.routeId ?? "";
  const whole = WHOLE.has(route);
  const session = useQuery(sessionQuery);
  const signedIn = session.data?.user != null;

  useEffect(() => {
    if (signedIn) goLive();
  }, [signedIn]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setPalette((open) => !open);
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

  return (
    <div className="flex min-h-dvh">
      <a
        href="#main"
        className="bg-raised shadow-float sr-only z-50 rounded-md px-4 py-2 focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        Skip to content
      </a>
      <Rail onSearch={() => setPalette(true)} />
      <div
        id="main"
        tabIndex={-1}
        className={`min-w-0 flex-1 outline-none ${whole ? "" : "pb-16 md:pb-0"}`}
      >
        <Outlet />
      </div>
      {!whole && <BottomBar />}
      {palette && (
        <Suspense>
          <CommandPalette onClose={() => setPalette(false)} />
        </Suspense>
      )}
      <DropImport />
      <Toaster
        position="top-center"
        toastOptions={{
          className:
            "!bg-raised !text-ink !border-line !font-sans !text-sm !rounded-lg !shadow-float",
        }}
      />
    </div>
  );
}
