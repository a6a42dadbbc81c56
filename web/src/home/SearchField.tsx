/** The search, one key away: "/" from anywhere on the page. */
import { Search } from "lucide-react";
import { useEffect, useRef } from "react";

interface SearchFieldProps {
  value: string;
  onChange: (value: string) => void;
}

export function SearchField({ value, onChange }: SearchFieldProps) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target;
      if (target instanceof Element && target.closest("input, textarea, select, [role=dialog]")) {
        return;
      }
      event.preventDefault();
      input.current?.focus();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

  return (
    <search className="relative block max-w-xl">
      <Search
        size={18}
        aria-hidden
        className="text-muted pointer-events-none absolute top-1/2 left-4 -translate-y-1/2"
      />
      <input
        ref={input}
        type="search"
        aria-label="Search characters"
        aria-keyshortcuts="/"
        placeholder="Search characters"
        value={value}
        maxLength={200}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            onChange("");
            event.currentTarget.blur();
          }
        }}
        className="bg-raised border-line hover:border-edge h-12 w-full rounded-full border pr-12 pl-11 text-base transition [&::-webkit-search-cancel-button]:hidden"
      />
      <kbd
        aria-hidden
        className="text-muted border-line absolute top-1/2 right-4 hidden -translate-y-1/2 rounded-sm border px-2 font-sans text-xs leading-5 md:block"
      >
        /
      </kbd>
    </search>
  );
}
