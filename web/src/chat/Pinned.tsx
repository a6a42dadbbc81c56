/** A small mark on what is pinned. */
import { Pin } from "lucide-react";
import { usePinned } from "./queries";

export function Pinned({ message }: { message: string }) {
  if (!usePinned(message)) return null;
  return (
    <span className="text-muted inline-flex items-center gap-1 text-xs">
      <Pin size={12} aria-hidden />
      Pinned
    </span>
  );
}
