/**
 * What somebody said: Markdown without raw HTML. Links open elsewhere and tell nothing of us;
 * pictures from other hosts are fetched only when the reader asks for them.
 */
import { memo, useState } from "react";
import Markdown, { type Components } from "react-markdown";
import remarkBreaks from "remark-breaks";
import remarkGfm from "remark-gfm";

const plugins = [remarkGfm, remarkBreaks];

const components: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow ugc">
      {children}
    </a>
  ),
  img: ({ src, alt }) =>
    typeof src === "string" && src !== "" ? <Picture src={src} alt={alt ?? ""} /> : null,
};

export const Said = memo(function Said({
  text,
  className = "",
}: {
  text: string;
  className?: string;
}) {
  return (
    <div className={`prose-said ${className}`}>
      <Markdown remarkPlugins={plugins} components={components}>
        {text}
      </Markdown>
    </div>
  );
});

function Picture({ src, alt }: { src: string; alt: string }) {
  const [wanted, setWanted] = useState(false);
  const address = URL.parse(src, window.location.href);
  if (isOurs(address) || wanted) {
    return (
      <img
        src={src}
        alt={alt}
        loading="lazy"
        referrerPolicy="no-referrer"
        className="max-h-96 max-w-full rounded-md"
      />
    );
  }
  return (
    <button
      type="button"
      onClick={() => setWanted(true)}
      className="border-line text-muted hover:text-ink my-1 inline-block rounded-md border px-3 py-2 text-left font-sans text-sm"
    >
      Show the picture {alt === "" ? "" : `“${alt}” `}from {address?.host ?? "another place"}
    </button>
  );
}

/** Whether it is a portrait or picture that our own server keeps. */
function isOurs(address: URL | null): boolean {
  return address?.origin === window.location.origin && address.pathname.startsWith("/media/");
}
