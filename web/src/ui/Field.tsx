/** Labelled fields with help, errors and, where there is a limit, a count. */
import clsx from "clsx";
import { ChevronDown } from "lucide-react";
import { useId, type ComponentProps, type ReactNode } from "react";

const control =
  "w-full rounded-md border border-line bg-raised px-3 text-base text-ink transition hover:border-edge focus-visible:border-accent focus-visible:outline-offset-[-1px] aria-invalid:border-danger";

interface FrameProps {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  count?: { now: number; most: number } | undefined;
}

interface Ids {
  id: string;
  described: string | undefined;
}

function Frame({
  label,
  hint,
  error,
  count,
  ids,
  children,
}: FrameProps & { ids: Ids; children: ReactNode }) {
  const over = count !== undefined && count.now > count.most;
  return (
    <div className="flex flex-col gap-2">
      <div className="flex items-baseline justify-between gap-4">
        <label htmlFor={ids.id} className="text-sm font-semibold">
          {label}
        </label>
        {count !== undefined && (
          <span className={clsx("text-xs tabular-nums", over ? "text-danger" : "text-muted")}>
            {count.now.toLocaleString()} / {count.most.toLocaleString()}
          </span>
        )}
      </div>
      {children}
      {(error !== undefined || hint !== undefined) && (
        <p
          id={ids.described}
          role={error === undefined ? undefined : "alert"}
          className={clsx("text-sm", error === undefined ? "text-muted" : "text-danger")}
        >
          {error ?? hint}
        </p>
      )}
    </div>
  );
}

function useIds({ hint, error }: Pick<FrameProps, "hint" | "error">): Ids {
  const id = useId();
  return { id, described: hint === undefined && error === undefined ? undefined : `${id}-about` };
}

export function TextField({
  label,
  hint,
  error,
  count,
  className,
  ...rest
}: FrameProps & ComponentProps<"input">) {
  const ids = useIds({ hint, error });
  return (
    <Frame label={label} hint={hint} error={error} count={count} ids={ids}>
      <input
        {...rest}
        id={ids.id}
        aria-invalid={error !== undefined}
        aria-describedby={ids.described}
        className={clsx(control, "h-11", className)}
      />
    </Frame>
  );
}

/** Text of several lines; grows with what is written. */
export function TextArea({
  label,
  hint,
  error,
  count,
  className,
  ...rest
}: FrameProps & ComponentProps<"textarea">) {
  const ids = useIds({ hint, error });
  return (
    <Frame label={label} hint={hint} error={error} count={count} ids={ids}>
      <textarea
        rows={3}
        {...rest}
        id={ids.id}
        aria-invalid={error !== undefined}
        aria-describedby={ids.described}
        className={clsx(control, "field-sizing-content max-h-[60dvh] min-h-24 py-2.5", className)}
      />
    </Frame>
  );
}

export function SelectField({
  label,
  hint,
  error,
  className,
  children,
  ...rest
}: FrameProps & ComponentProps<"select">) {
  const ids = useIds({ hint, error });
  return (
    <Frame label={label} hint={hint} error={error} ids={ids}>
      <span className="relative block">
        <select
          {...rest}
          id={ids.id}
          aria-describedby={ids.described}
          className={clsx(control, "h-11 appearance-none truncate pr-10", className)}
        >
          {children}
        </select>
        <ChevronDown
          size={18}
          aria-hidden
          className="text-muted pointer-events-none absolute top-1/2 right-3 -translate-y-1/2"
        />
      </span>
    </Frame>
  );
}
