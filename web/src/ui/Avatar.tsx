/** A portrait; without one, the initials on the tint. Square in lists, 3:4 on cards. */
import clsx from "clsx";
import { useState } from "react";

interface AvatarProps {
  name: string;
  src: string;
  className?: string;
  /** The picture says what the text beside it says, unless it stands alone. */
  alt?: string;
  eager?: boolean;
}

export function Avatar({ name, src, className, alt = "", eager = false }: AvatarProps) {
  const [broken, setBroken] = useState("");
  const frame = clsx(
    "bg-tint/15 relative flex shrink-0 items-center justify-center overflow-hidden",
    className,
  );
  if (src === "" || broken === src) {
    return (
      <span className={frame} role={alt === "" ? undefined : "img"} aria-label={alt || undefined}>
        <svg viewBox="0 0 40 40" className="text-tint size-full" aria-hidden>
          <text
            x="20"
            y="20.5"
            fill="currentColor"
            fontSize="16"
            fontWeight="600"
            textAnchor="middle"
            dominantBaseline="central"
            className="font-serif"
          >
            {initials(name)}
          </text>
        </svg>
      </span>
    );
  }
  return (
    <span className={frame}>
      <img
        src={src}
        alt={alt}
        loading={eager ? "eager" : "lazy"}
        decoding="async"
        className="absolute inset-0 size-full object-cover"
        onError={() => setBroken(src)}
      />
    </span>
  );
}

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.split(/[\s·.,_-]+/u).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined]
    .map((word) => (word === undefined ? "" : (Array.from(word)[0] ?? "")))
    .join("");
  return letters.toUpperCase() || "?";
}
