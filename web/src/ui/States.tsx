/** What a screen shows when there is nothing, something is missing, or something went wrong. */
import type { ReactNode } from "react";
import { sentence } from "../lib/errors";
import { Button } from "./Button";

interface StateProps {
  title: string;
  body: string;
  action?: ReactNode;
  /** It is the page's whole content: its title is the page's. */
  page?: boolean;
}

/** Says what to do, and offers it. */
export function Empty({ title, body, action, page }: StateProps) {
  const Title = page === true ? "h1" : "h2";
  return (
    <div className="mx-auto flex max-w-md flex-col items-center gap-3 px-6 py-16 text-center">
      <Title className="font-serif text-xl">{title}</Title>
      <p className="text-muted">{body}</p>
      {action !== undefined && (
        <div className="mt-3 flex flex-wrap justify-center gap-2">{action}</div>
      )}
    </div>
  );
}

interface FailedProps {
  error: unknown;
  title?: string;
  onRetry?: () => void;
  page?: boolean;
}

/** What happened, and a way on. */
export function Failed({ error, title = "That did not load", onRetry, page }: FailedProps) {
  return (
    <div role="alert">
      <Empty
        page={page ?? false}
        title={title}
        body={sentence(error)}
        action={onRetry && <Button onClick={onRetry}>Try again</Button>}
      />
    </div>
  );
}

export function Skeleton({ className }: { className: string }) {
  return <div className={`skeleton ${className}`} aria-hidden />;
}
