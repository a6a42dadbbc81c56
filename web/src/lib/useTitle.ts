/** The window's title says where one is. */
import { useEffect } from "react";

export function useTitle(title: string | undefined): void {
  useEffect(() => {
    document.title = title === undefined ? "Troupe" : `${title} · Troupe`;
  }, [title]);
}
