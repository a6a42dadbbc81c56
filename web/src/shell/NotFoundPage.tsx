/** For addresses that lead nowhere, and screens that broke. */
import { Link, useRouter } from "@tanstack/react-router";
import { useEffect } from "react";
import { Button, buttonClass } from "../ui/Button";
import { Empty } from "../ui/States";

export function NotFoundPage({ what = "page" }: { what?: string }) {
  return (
    <main className="flex min-h-[60dvh] items-center">
      <Empty
        page
        title={`There is no such ${what}`}
        body="It may have been deleted, it may be private, or the address has a typo."
        action={
          <Link to="/" className={buttonClass("primary")}>
            Go home
          </Link>
        }
      />
    </main>
  );
}

/** A screen that threw. A new version may have taken its code away: a reload mends that. */
export function RouteFailed({ error }: { error: unknown }) {
  const router = useRouter();
  useEffect(() => console.error(error), [error]);
  return (
    <main role="alert" className="flex min-h-[60dvh] items-center">
      <Empty
        page
        title="This screen broke"
        body="Your messages are kept. Reload the page to go on."
        action={
          <>
            <Button look="primary" onClick={() => window.location.reload()}>
              Reload
            </Button>
            <Button onClick={() => void router.navigate({ to: "/" })}>Go home</Button>
          </>
        }
      />
    </main>
  );
}
