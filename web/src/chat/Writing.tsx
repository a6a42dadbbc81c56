/** Three dots in the character's tint: an answer is about to come. */
export function Writing() {
  return (
    <span className="flex h-7 items-center gap-1.5" role="status" aria-label="Writing">
      {[0, 1, 2].map((dot) => (
        <span
          key={dot}
          className="bg-tint size-2 animate-[blink_1.2s_ease-in-out_infinite] rounded-full"
          style={{ animationDelay: `${dot * 160}ms` }}
        />
      ))}
    </span>
  );
}
