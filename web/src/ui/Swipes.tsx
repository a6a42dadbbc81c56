/** ‹ 2/5 ›: one of several, and the way to the others. */
import { ChevronLeft, ChevronRight } from "lucide-react";
import { IconButton } from "./Button";

interface SwipesProps {
  what: string;
  at: number; // from 0
  count: number;
  onBack: () => void;
  onNext: (() => void) | undefined;
  /** What the right arrow does past the last one. */
  nextLabel?: string;
}

export function Swipes({ what, at, count, onBack, onNext, nextLabel }: SwipesProps) {
  return (
    <div className="flex items-center" role="group" aria-label={`Which ${what}`}>
      <IconButton label={`Previous ${what}`} disabled={at <= 0} onClick={onBack}>
        <ChevronLeft size={18} />
      </IconButton>
      <span
        className="text-muted min-w-8 text-center text-sm tabular-nums"
        data-testid="swipe-count"
      >
        {at + 1}/{count}
      </span>
      <IconButton
        label={nextLabel ?? `Next ${what}`}
        disabled={onNext === undefined}
        onClick={onNext}
      >
        <ChevronRight size={18} />
      </IconButton>
    </div>
  );
}
