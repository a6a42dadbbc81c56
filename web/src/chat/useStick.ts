/**
 * Keeps a scroller at its end while text arrives, for as long as the reader wants that: whoever
 * scrolls up stays where they are, and is told that there is something new below.
 */
import { useCallback, useEffect, useRef, useState, type RefObject } from "react";

const NEAR_PX = 64;
const INTENT_MS = 1000; // a scroll this soon after wheel, touch or key is the reader's own

interface Stick {
  /** For the element that scrolls, and for what it holds. */
  scroller: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  /** For the scroller's onScroll. */
  onScroll: () => void;
  /** Whether the end is shown. */
  atEnd: boolean;
  toEnd: () => void;
}

export function useStick(): Stick {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const intent = useRef(-Infinity);
  const [atEnd, setAtEnd] = useState(true);

  const toEnd = useCallback(() => {
    stuck.current = true;
    setAtEnd(true);
    const element = scroller.current;
    if (element !== null) element.scrollTop = element.scrollHeight;
  }, []);

  const onScroll = useCallback(() => {
    const element = scroller.current;
    if (element === null) return;
    if (isNear(element)) stuck.current = true;
    else if (performance.now() - intent.current < INTENT_MS) stuck.current = false;
    setAtEnd(stuck.current);
  }, []);

  useEffect(() => {
    const element = scroller.current;
    const inner = content.current;
    if (element === null || inner === null) return;
    const meant = () => {
      intent.current = performance.now();
    };
    const follow = new ResizeObserver(() => {
      if (stuck.current) element.scrollTop = element.scrollHeight;
      else if (isNear(element)) {
        stuck.current = true; // what was below is gone: there is nothing to scroll to
        setAtEnd(true);
      }
    });
    follow.observe(inner);
    follow.observe(element); // the keyboard of a phone makes it smaller
    const signs = ["wheel", "touchmove", "keydown", "pointerdown"] as const;
    for (const sign of signs) element.addEventListener(sign, meant, { passive: true });
    return () => {
      follow.disconnect();
      for (const sign of signs) element.removeEventListener(sign, meant);
    };
  }, []);

  return { scroller, content, onScroll, atEnd, toEnd };
}

function isNear(element: HTMLElement): boolean {
  return element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
}
