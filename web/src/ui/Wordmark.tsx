/** The name, as it is drawn. */
export function Wordmark() {
  return (
    <span className="font-serif text-xl leading-none font-semibold tracking-tight">
      Troupe<span className="text-accent">.</span>
    </span>
  );
}
