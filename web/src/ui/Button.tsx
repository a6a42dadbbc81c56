/** Buttons: one filled for the one thing to do next, quiet ones for the rest. */
import clsx from "clsx";
import type { ComponentProps } from "react";

export type Look = "primary" | "plain" | "quiet" | "danger";

const looks: Record<Look, string> = {
  primary: "bg-accent-fill text-on-accent hover:brightness-110",
  plain: "border border-line bg-raised text-ink hover:border-edge",
  quiet: "text-ink hover:bg-ink/7",
  danger: "border border-danger/50 text-danger hover:bg-danger/10",
};

export function buttonClass(look: Look = "plain", small = false): string {
  return clsx(
    "inline-flex shrink-0 items-center justify-center gap-2 rounded-md font-semibold whitespace-nowrap transition",
    "disabled:cursor-not-allowed disabled:opacity-55 aria-disabled:opacity-55",
    small ? "h-9 px-3 text-sm" : "h-11 px-5 text-base",
    looks[look],
  );
}

interface ButtonProps extends ComponentProps<"button"> {
  look?: Look;
  small?: boolean;
  busy?: boolean;
}

export function Button({ look, small, busy, className, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled === true || busy === true}
      aria-busy={busy}
      className={clsx(buttonClass(look, small), className)}
    >
      {children}
    </button>
  );
}

interface IconButtonProps extends ComponentProps<"button"> {
  label: string;
}

/** A button that is only a picture; `label` is its name. */
export function IconButton({ label, className, children, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...rest}
      className={clsx(
        "text-muted hover:text-ink hover:bg-ink/7 inline-flex size-9 shrink-0 items-center justify-center rounded-md transition",
        "disabled:cursor-not-allowed disabled:opacity-40 disabled:hover:bg-transparent",
        className,
      )}
    >
      {children}
    </button>
  );
}
